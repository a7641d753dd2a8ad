/** A private redis-server on a unix socket, started from settings rather than from a file. */
import type { ServerProcess } from '@llmproxy/debian-packages';
import { startServerProcess, untilReady } from '@llmproxy/debian-packages';
import { Redis } from 'ioredis';
import type { RedisBinaryChoice } from './redis-binary.ts';
import { findRedisBinary } from './redis-binary.ts';

export interface RedisServerStart extends RedisBinaryChoice {
  /** Path of the unix socket; less than 104 bytes, the shortest limit of the systems we run on. */
  readonly socket: string;
  /** Lines of redis.conf by name; those of the socket are added. It listens on no port unless one is named. */
  readonly settings: Readonly<Record<string, string>>;
  /** What ends the server: `SIGTERM` saves first, `SIGKILL` is for data nobody wants to keep. */
  readonly stopSignal: 'SIGTERM' | 'SIGKILL';
  /** A folder removed after the server has ended. */
  readonly removeAfter?: string | undefined;
}

/**
 * Starts redis-server and waits until it answers, its data loaded.
 * @throws Error with the server's last lines when it ends instead
 */
export async function spawnRedisServer(start: RedisServerStart): Promise<ServerProcess> {
  const binary = await findRedisBinary(start);
  const settings = { port: '0', ...start.settings, unixsocket: start.socket, unixsocketperm: '700' };
  // Settings go through stdin: on the command line, versions before 7 split values at spaces.
  const lines = Object.entries(settings).map(([name, value]) => `${name} ${JSON.stringify(value)}\n`);
  const server = await startServerProcess({
    ...binary,
    args: ['-'],
    input: lines.join(''),
    stopSignal: start.stopSignal,
    removeAfter: start.removeAfter,
  });
  try {
    await untilReady(server, binary.command, () => answers(start.socket));
    return server;
  } catch (cause) {
    await server.stop();
    throw cause;
  }
}

/** Whether a Redis that has finished loading answers on `socket`, be it only to ask for a password. */
async function answers(socket: string): Promise<boolean> {
  const reply = await ask(socket, (redis) => redis.ping().catch((error: Error) => error.message));
  return reply !== undefined && /^(PONG|NOAUTH)/.test(reply);
}

/** One question on a connection of its own; undefined when nobody answers or the answer is an error. */
export async function ask<Reply>(
  socket: string,
  question: (redis: Redis) => Promise<Reply>,
): Promise<Reply | undefined> {
  const redis = new Redis({
    path: socket,
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: () => null,
  });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    return await question(redis);
  } catch {
    return undefined;
  } finally {
    redis.disconnect();
  }
}
