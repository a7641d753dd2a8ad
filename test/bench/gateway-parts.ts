import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { startEmbeddedRedis } from '@llmproxy/embedded-redis';
import type { Children } from './children.ts';

/** Builds the bundles of apps, from nx's cache when nothing has changed. @throws Error when one does not build; the output was said */
export async function buildApps(
  repoRoot: string,
  apps: readonly string[],
  say: (line: string) => void,
): Promise<void> {
  say(`building ${apps.join(', ')} …`);
  const projects = apps.map((app) => `@llmproxy/${app}`).join(',');
  const nx = ['node_modules/.bin/nx', 'run-many', '-t', 'build', '-p', projects];
  const env = { ...process.env, NX_DAEMON: 'false' };
  await promisify(execFile)(process.execPath, nx, { cwd: repoRoot, env }).catch((cause: Error) => {
    say(cause.message);
    throw new Error('it does not build (the output is above)', { cause });
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
