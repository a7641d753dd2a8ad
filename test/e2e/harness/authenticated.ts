/** Requests that are let in or not, in as few words as a test needs. */
import { startFakeBackend, type FakeBackend } from '@llmproxy/fake-backend';
import { redisForTests } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { startGateway, type Gateway, type Setup } from './gateway.ts';
import { fetchText } from './http-client.ts';
import { tempFolder } from './temp-folder.ts';
import { until } from './until.ts';

export interface Guarded extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly backend: FakeBackend;
  readonly redisUrl: string;
  readonly folder: string;
}

/** A gateway of one worker with a backend and a Redis of its own, without usage events unless `config` wants them. */
export async function startGuarded(
  config: NonNullable<Setup['config']>,
  backendSettings: Readonly<Record<string, unknown>> = {},
): Promise<Guarded> {
  await using resources = new AsyncDisposableStack();
  const folder = resources.use(tempFolder()).path;
  const { url: redisUrl } = resources.use(await redisForTests());
  const backend = resources.use(await startFakeBackend());
  const gateway = resources.use(
    await startGateway({
      folder,
      redisUrl,
      backends: [{ name: 'fake', url: backend.url, ...backendSettings }],
      config: {
        usage: { enabled: false, reporters: [] },
        ...config,
        server: { workers: 1, ...config['server'] },
      },
    }),
  );
  const kept = resources.move();
  return { gateway, backend, redisUrl, folder, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

export const chatPath = '/v1/chat/completions';
export const chat = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };

export const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

/** What became of a chat request with these headers: `200`, or status and error code as in `403 key_not_active`. */
export async function outcomeOf(address: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const { status, text } = await fetchText(address, chatPath, { body: chat, headers });
  if (status === 200) return '200';
  const { error } = JSON.parse(text) as { error: { code: string } };
  return `${status} ${error.code}`;
}

/**
 * Resolves when so many workers hear of changed keys. Until then each forgets what it knows once more: when it begins to
 * listen.
 */
export async function changesAreHeard(redisUrl: string, workers: number): Promise<void> {
  const redis = connectRedis({ url: redisUrl, connectionName: 'tests', whenDown: 'queue' });
  try {
    await until('all workers hear of changed keys', async () => {
      const [, listening] = await redis.pubsub('NUMSUB', 'lp:keys');
      return Number(listening) >= workers;
    });
  } finally {
    await closeRedis(redis);
  }
}
