/**
 * What admit + settle cost a request: CPU in this process and in Redis, all limits and a quota on, four scopes.
 * Run: node libs/data-plane/limits/limits.bench.ts [requests at once] [requests] [keys]
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnRedisServer } from '@llmproxy/embedded-redis';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import type { LimitScope } from '@llmproxy/limit-state';
import { openLimiter, type LimitRequest } from './index.ts';

const [atOnce = 64, total = 100_000, keyCount = 1] = process.argv.slice(2).map(Number);
const limits = {
  requestsPerSecond: 1_000_000,
  requestsPerMinute: 100_000_000,
  tokensPerMinute: 10_000_000_000,
  maxConcurrent: 10_000,
};
const quota = { total: 1e12, used: 0, periodStartMs: 1, periodEndMs: 2e12, shadow: false };
const keys: LimitScope[] = Array.from({ length: keyCount }, (_, i) => ({
  tag: `k:${'0123456789abcdef'.repeat(2).slice(i % 16)}${i}`,
  limits,
  quota,
}));
const addresses: LimitScope[] = keys.map((_, i) => ({ tag: `ip:192.0.2.${i}`, limits }));
const backends: LimitScope[] = ['one', 'two'].map((name) => ({ tag: `b:${name}`, limits }));
const all = { tag: 'g', limits };

const pick = <T>(list: readonly T[], i: number): T => list[i % list.length] as T;
const requestOf = (i: number): LimitRequest => ({
  id: randomUUID(),
  tokens: 1500,
  scopes: [all, pick(addresses, i), pick(keys, i)],
  alternatives: backends,
});

/** CPU ticks of 10 ms that a process used. */
const ticksOf = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return Number(user) + Number(system);
};

const folder = await mkdtemp(join(tmpdir(), 'llmproxy-bench-'));
const socket = join(folder, 'redis.sock');
const settings = { dir: folder, save: '', appendonly: 'no' };
const server = await spawnRedisServer({ socket, settings, stopSignal: 'SIGKILL', removeAfter: folder });
const redis = connectRedis({ url: `unix://${socket}`, connectionName: 'bench', whenDown: 'queue' });
const pid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]);
let calls = 0;
const limiter = await openLimiter({
  redis,
  worker: 'bench',
  onFailure: 'deny',
  deadlineMs: 5000,
  onCall: () => calls++,
});

/** One client: asks, lets the event loop turn as a backend would, settles, asks again. */
async function client(count: number, each: () => Promise<void>): Promise<void> {
  for (let i = 0; i < count; i++) await each();
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
let next = 0;
const limited = async (): Promise<void> => {
  const admission = await limiter.admit(requestOf(next++));
  if (admission.outcome !== 'granted') throw new Error(`not granted: ${JSON.stringify(admission)}`);
  await turn();
  limiter.settle(admission.handle, 900);
};
const bare = async (): Promise<void> => {
  requestOf(next++);
  await turn();
};

async function measure(name: string, each: () => Promise<void>, requests: number): Promise<void> {
  const before = process.cpuUsage();
  const [ticks, startMs, callsBefore] = [ticksOf(pid), performance.now(), calls];
  await Promise.all(Array.from({ length: atOnce }, () => client(Math.round(requests / atOnce), each)));
  const { user, system } = process.cpuUsage(before);
  const micros = (n: number): string => (n / requests).toFixed(1);
  const seconds = (performance.now() - startMs) / 1000;
  process.stdout.write(
    `${name}: gateway ${micros(user + system)} µs, Redis ${micros((ticksOf(pid) - ticks) * 10_000)} µs per request; ` +
      `${Math.round(requests / seconds)}/s, ${((2 * requests) / (calls - callsBefore || Infinity)).toFixed(1)} ops a call\n`,
  );
}

await measure('warm-up', limited, total / 5);
await measure('without limits', bare, total);
await measure(`admit + settle, ${atOnce} at once`, limited, total);
await limiter.close();
await closeRedis(redis);
await server.stop();
