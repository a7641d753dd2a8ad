/** `/v1/models` over all backends: their lists merged by model id, first backend first, cached for a while. */
import { GatewayError } from '@llmproxy/errors';
import type { Answer } from '@llmproxy/exchange';
import { requestHeaders, type Forwarded } from '@llmproxy/forwarding';
import type { PooledBackend } from './backends.ts';

type Model = { id: string } & Record<string, unknown>;

export interface ModelsOptions {
  backends: readonly PooledBackend[];
  isAvailable(backend: PooledBackend): boolean;
  cacheMs: number;
  nowMs(): number;
  /** Longest wait for the whole list of one backend. Default 5,000. */
  fetchTimeoutMs?: number;
}

const fetchTimeoutMsDefault = 5_000;
const listBytesMax = 8 * 1024 * 1024;

/** Whether the caller may use a model; null: all of them. */
type AllowsModel = ((id: string) => boolean) | null;

/**
 * Answers `GET /v1/models` and `GET /v1/models/<id>` with what the caller may use; backends that fail are left out, all
 * failing is an error.
 */
export function createModels(
  options: ModelsOptions,
): (path: string, allows: AllowsModel) => Promise<Forwarded<PooledBackend>> {
  let cached: { models: Promise<Model[]>; untilMs: number } | undefined;
  return async (path, allows) => {
    if (!cached || options.nowMs() >= cached.untilMs) {
      const models = mergedModels(options);
      const entry = { models, untilMs: options.nowMs() + options.cacheMs };
      cached = entry;
      models.catch(() => {
        if (cached === entry) cached = undefined; // a failure is not worth remembering
      });
    }
    try {
      const models = await cached.models;
      const usable = allows === null ? models : models.filter(({ id }) => allows(id));
      return { kind: 'answered', answer: answerFor(path, usable), backend: null };
    } catch (error) {
      if (error instanceof GatewayError) return { kind: 'failed', error, backend: null };
      throw error;
    }
  };
}

async function mergedModels(options: ModelsOptions): Promise<Model[]> {
  const asked = options.backends.filter(options.isAvailable);
  if (asked.length === 0) throw new GatewayError('no_backend', 'No backend is available to list models.');
  const timeoutMs = options.fetchTimeoutMs ?? fetchTimeoutMsDefault;
  const lists = await Promise.allSettled(asked.map((backend) => listOf(backend, timeoutMs)));
  const byId = new Map<string, Model>();
  for (const list of lists) {
    if (list.status === 'rejected') continue;
    for (const model of list.value) if (!byId.has(model.id)) byId.set(model.id, model);
  }
  if (lists.every((list) => list.status === 'rejected')) {
    const cause: unknown = lists[0]?.status === 'rejected' ? lists[0].reason : undefined;
    throw new GatewayError('backend_unreachable', 'No backend could list its models.', { cause });
  }
  return [...byId.values()];
}

async function listOf(backend: PooledBackend, timeoutMs: number): Promise<Model[]> {
  const attempt = backend.forwarder.attempt({
    method: 'GET',
    target: `${backend.pathPrefix}/v1/models`,
    rawHeaders: requestHeaders(['accept', 'application/json'], backend.headerRules, 'models', true),
    body: undefined,
  });
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`${backend.name} took too long to list its models`)),
    timeoutMs,
  );
  try {
    return await Promise.race([modelsFrom(attempt.answer, backend.name), late.promise]);
  } finally {
    clearTimeout(timer);
    attempt.abort();
  }
}

async function modelsFrom(answering: Promise<Answer>, name: string): Promise<Model[]> {
  const answer = await answering;
  const text = await bodyText(answer);
  if (answer.status !== 200) throw new Error(`${name} answered ${answer.status} to GET /v1/models`);
  return modelsIn(JSON.parse(text));
}

function modelsIn(list: unknown): Model[] {
  const data = typeof list === 'object' && list !== null && 'data' in list ? list.data : undefined;
  if (!Array.isArray(data)) throw new Error('no `data` array in the model list');
  return data.filter(
    (model: unknown): model is Model =>
      typeof model === 'object' && model !== null && 'id' in model && typeof model.id === 'string',
  );
}

function bodyText(answer: Answer): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    answer.pour({
      data: (chunk) => {
        bytes += chunk.length;
        if (bytes > listBytesMax) reject(new Error('the model list is too long'));
        else chunks.push(chunk);
        return true;
      },
      end: () => resolve(Buffer.concat(chunks).toString('utf8')),
      error: reject,
    });
  });
}

function answerFor(path: string, models: readonly Model[]): Answer {
  const id = path.startsWith('/v1/models/') ? decoded(path.slice('/v1/models/'.length)) : undefined;
  if (id === undefined) return jsonAnswer({ object: 'list', data: models });
  const model = models.find((candidate) => candidate.id === id);
  if (!model)
    throw new GatewayError(
      'model_not_found',
      `No backend serves the model ${JSON.stringify(id.slice(0, 100))}.`,
    );
  return jsonAnswer(model);
}

/** An id that is not well-formed stands for itself: no model has it. */
function decoded(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

function jsonAnswer(value: unknown): Answer {
  const body = Buffer.from(JSON.stringify(value));
  return {
    status: 200,
    statusText: 'OK',
    rawHeaders: ['content-type', 'application/json', 'content-length', String(body.length)],
    pour: (sink) => {
      sink.data(body);
      sink.end();
    },
    resume: () => undefined,
    abort: () => undefined,
  };
}
