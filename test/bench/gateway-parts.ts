import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { startEmbeddedRedis } from '@llmproxy/embedded-redis';
import type { Children } from './children.ts';

/** Builds the gateway's bundle, from nx's cache when nothing has changed. @throws Error when it does not build; the output was said */
export async function buildGateway(repoRoot: string, say: (line: string) => void): Promise<void> {
  say('building the gateway …');
  const nx = ['node_modules/.bin/nx', 'run', '@llmproxy/gateway:build'];
  const env = { ...process.env, NX_DAEMON: 'false' };
  await promisify(execFile)(process.execPath, nx, { cwd: repoRoot, env }).catch((cause: Error) => {
    say(cause.message);
    throw new Error('the gateway does not build (its output is above)', { cause });
  });
}

/** A Redis as `llmproxy start` runs it, append-only file included. */
export async function startBenchRedis(
  children: Children,
  dataDir: string,
): Promise<{ readonly url: string; readonly pid: number }> {
  const redis = await startEmbeddedRedis({ dataDir });
  children.alsoStop(() => redis.stop());
  return redis;
}
