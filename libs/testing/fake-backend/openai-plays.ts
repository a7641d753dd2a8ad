import {
  askedFor,
  countsOf,
  defaultTokens,
  gated,
  inTwo,
  jsonObject,
  type DialogueOptions,
} from './dialogue.ts';
import type { PlayFor } from './fake-backend.ts';
import { play, type PlayOptions } from './play.ts';
import { responses } from './responses-plays.ts';

const created = 1_767_225_600;

function usageOf(options: DialogueOptions): Record<string, unknown> {
  const { input, output, cached } = countsOf(options);
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    ...(cached > 0 && { prompt_tokens_details: { cached_tokens: cached } }),
  };
}

/** Chat completions: streamed when asked, with the usage chunk only for `stream_options.include_usage`. */
function chat(options: DialogueOptions = {}): PlayFor {
  return (request) => {
    const asked = askedFor(request);
    const head = { id: 'chatcmpl-fake', created, model: asked.model };
    if (!asked.stream) {
      const choice = {
        index: 0,
        message: messageOf(options),
        logprobs: null,
        finish_reason: finishOf(options),
      };
      return play.json(
        { ...head, object: 'chat.completion', choices: [choice], usage: usageOf(options) },
        options,
      );
    }
    const chunk = (choices: unknown[], more: object = {}): string =>
      play.frame({ ...head, object: 'chat.completion.chunk', choices, ...more });
    const delta = (of: object, finish: string | null = null): string =>
      chunk([{ index: 0, delta: of, logprobs: null, finish_reason: finish }]);
    const frames = [
      delta({ role: 'assistant', content: '' }),
      ...deltasOf(options).map((of) => delta(of)),
      delta({}, finishOf(options)),
      ...(asked.includeUsage ? [chunk([], { usage: usageOf(options) })] : []),
      play.frame('[DONE]'),
    ];
    return play.stream(gated(frames, options.gates), options);
  };
}

const textOf = ({ tokens = defaultTokens }: DialogueOptions): string => tokens.join('');
const finishOf = ({ toolCall }: DialogueOptions): string => (toolCall ? 'tool_calls' : 'stop');

function messageOf(options: DialogueOptions): object {
  if (!options.toolCall) return { role: 'assistant', content: textOf(options), refusal: null };
  const call = { id: 'call_fake', type: 'function', function: options.toolCall };
  return { role: 'assistant', content: null, refusal: null, tool_calls: [call] };
}

function deltasOf({ tokens = defaultTokens, toolCall }: DialogueOptions): object[] {
  if (!toolCall) return tokens.map((content) => ({ content }));
  const [first, rest] = inTwo(toolCall.arguments);
  const call = {
    index: 0,
    id: 'call_fake',
    type: 'function',
    function: { name: toolCall.name, arguments: '' },
  };
  const piece = (text: string): object => ({ tool_calls: [{ index: 0, function: { arguments: text } }] });
  return [{ tool_calls: [call] }, piece(first), piece(rest)];
}

/** The older completions API, streamed when asked. */
function completions(options: DialogueOptions = {}): PlayFor {
  return (request) => {
    const asked = askedFor(request);
    const head = { id: 'cmpl-fake', object: 'text_completion', created, model: asked.model };
    const choice = (text: string, finish: string | null): object => ({
      index: 0,
      text,
      logprobs: null,
      finish_reason: finish,
    });
    if (!asked.stream) {
      return play.json(
        { ...head, choices: [choice(textOf(options), 'stop')], usage: usageOf(options) },
        options,
      );
    }
    const frames = [
      ...(options.tokens ?? defaultTokens).map((text) =>
        play.frame({ ...head, choices: [choice(text, null)] }),
      ),
      play.frame({ ...head, choices: [choice('', 'stop')] }),
      ...(asked.includeUsage ? [play.frame({ ...head, choices: [], usage: usageOf(options) })] : []),
      play.frame('[DONE]'),
    ];
    return play.stream(gated(frames, options.gates), options);
  };
}

/** One vector per input, as numbers or, when asked, as base64 of 32-bit floats. */
function embeddings(options: DialogueOptions = {}): PlayFor {
  return (request) => {
    const body = jsonObject(request);
    const inputs = Array.isArray(body['input']) ? body['input'] : [body['input']];
    const vector = [0.25, -0.5, 1];
    const base64 = Buffer.from(Float32Array.from(vector).buffer).toString('base64');
    const data = inputs.map((_, index) => ({
      object: 'embedding',
      index,
      embedding: body['encoding_format'] === 'base64' ? base64 : vector,
    }));
    const { input } = countsOf(options);
    const usage = { prompt_tokens: input, total_tokens: input };
    return play.json({ object: 'list', data, model: askedFor(request).model, usage }, options);
  };
}

function models(ids: readonly string[] = ['fake-model'], options?: PlayOptions): PlayFor {
  const data = ids.map((id) => ({ id, object: 'model', created, owned_by: 'fake-backend' }));
  return play.json({ object: 'list', data }, options);
}

const errorTypes: Readonly<Record<number, [type: string, code: string | null]>> = {
  401: ['authentication_error', 'invalid_api_key'],
  404: ['invalid_request_error', 'model_not_found'],
  429: ['rate_limit_error', 'rate_limit_exceeded'],
};

/** An error as an OpenAI server words it. */
function error(
  status: number,
  message = `error ${status} of the fake backend`,
  options?: PlayOptions,
): PlayFor {
  const [type, code] = errorTypes[status] ?? [status < 500 ? 'invalid_request_error' : 'server_error', null];
  return play.json({ error: { message, type, param: null, code } }, { ...options, status });
}

/** Ready plays of the OpenAI API. */
export const openai = { chat, completions, embeddings, responses, models, error };
