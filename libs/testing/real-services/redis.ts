import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { spawnRedisServer } from '@llmproxy/embedded-redis';
import type { PrivateServer, PrivateServerChoice } from './private-server.ts';
import { privateFolder } from './private-server.ts';

/** Enough for every test of a run to have a database of its own. */
const databases = '4096';

export interface RedisChoice extends PrivateServerChoice {
  /** Further lines of redis.conf by name. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
}

/** Starts a Redis that keeps nothing on disk. */
export async function startRedis(choice: RedisChoice = {}): Promise<PrivateServer> {
  const folder = await privateFolder('redis');
  const socket = join(folder, 'redis.sock');
  try {
    const server = await spawnRedisServer({
      ...choice,
      socket,
      settings: { dir: folder, save: '', appendonly: 'no', databases, ...choice.settings },
      stopSignal: 'SIGKILL',
      removeAfter: folder,
    });
    return { url: `unix://${encodeURI(socket)}`, stop: () => server.stop(), unref: () => server.unref() };
  } catch (cause) {
    await rm(folder, { recursive: true, force: true });
    throw cause;
  }
}
