import { startFakeBackend } from '@llmproxy/fake-backend';
import { connectRedis, closeRedis } from '@llmproxy/redis';
import { spawnRedisServer } from '@llmproxy/embedded-redis';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../bench/target.ts';
import { startFleet, type Fleet } from '../e2e/harness/fleet.ts';
import { fetchText } from '../e2e/harness/http-client.ts';
import { punctual, startLateForwarder, type Lateness, type LateForwarder } from './late-forwarder.ts';
import type { Check, Place } from './scenario.ts';
import type { Part, PartReport } from './stores-part.ts';

interface Stop {
  readonly ms: number;
  readonly everyMs: number;
}

interface Pattern extends Partial<Lateness> {
  readonly name: string;
  readonly stop?: Stop;
}

const patterns: readonly Pattern[] = [
  { name: 'stopped 150 ms of every 0.5 s', stop: { ms: 150, everyMs: 500 } },
  { name: 'stopped 250 ms of every 1 s', stop: { ms: 250, everyMs: 1000 } },
  { name: 'stopped 450 ms of every 2 s', stop: { ms: 450, everyMs: 2000 } },
  { name: 'stopped 0.9 s of every 3 s', stop: { ms: 900, everyMs: 3000 } },
  { name: 'stopped 1.5 s of every 4 s', stop: { ms: 1500, everyMs: 4000 } },
  { name: 'stopped 3 s of every 6 s', stop: { ms: 3000, everyMs: 6000 } },
  { name: '5 % of chunks 210 ms late', share: 0.05, lateMs: 210 },
  { name: '20 % of chunks 600 ms late', share: 0.2, lateMs: 600 },
  { name: 'round trip of 80 ms', roundTripMs: 80 },
  {
    name: 'stopped 450 ms of every 2 s, round trip of 40 ms, 5 % of chunks 210 ms late',
    stop: { ms: 450, everyMs: 2000 },
    roundTripMs: 40,
    share: 0.05,
    lateMs: 210,
  },
];

/** Of one worker each, so a local share is half of the limit. */
const gateways = 2;
const requestsPerMinute = 20;
const share = Math.floor(requestsPerMinute / gateways);
const perSecond = 40;
/** By then the workers know of each other. */
const acquaintedMs = 3_000;
/** A minute is one window from its first request on. */
const lastsMs = 15_000;
const keyOf = (index: number): string => `sk-stutter-${index}-0123456789abcdef`;

interface Redis {
  readonly pid: number;
  readonly forwarder: LateForwarder;
}

async function startRedis({ children, folder }: Place): Promise<Redis> {
  const port = await freePort();
  const socket = join(folder, 'redis.sock');
  const settings = { dir: folder, save: '', bind: '127.0.0.1', port: String(port) };
  const server = await spawnRedisServer({ socket, settings, stopSignal: 'SIGKILL' });
  children.alsoStop(() => server.stop());
  const redis = connectRedis({ url: `unix://${socket}`, connectionName: 'chaos', whenDown: 'queue' });
  const pid = Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]);
  await closeRedis(redis);
  const forwarder = await startLateForwarder(port);
  children.alsoStop(async () => void (await forwarder[Symbol.asyncDispose]()));
  return { pid, forwarder };
}

/** Stops and continues Redis until it is over, which leaves it running. */
async function stutter(pid: number, { ms, everyMs }: Stop, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    process.kill(pid, 'SIGSTOP');
    await pause(ms);
    process.kill(pid, 'SIGCONT');
    await pause(everyMs - ms);
  }
}

interface Found {
  readonly admitted: number;
  readonly refused: number;
  readonly failed: number;
  readonly readiness: string;
}

async function suffer(fleet: Fleet, redis: Redis, pattern: Pattern, key: string): Promise<Found> {
  const headers = { authorization: `Bearer ${key}` };
  const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
  const statuses: number[] = [];
  const open: Promise<void>[] = [];
  const endMs = performance.now() + lastsMs;
  const isOver = (): boolean => performance.now() >= endMs;
  redis.forwarder.lateness = { ...punctual, ...pattern };
  const stuttered = pattern.stop && stutter(redis.pid, pattern.stop, isOver);
  while (!isOver()) {
    const asked = fetchText(fleet.next(), '/v1/chat/completions', { body, headers });
    open.push(
      asked.then(
        ({ status }) => void statuses.push(status),
        () => void statuses.push(0),
      ),
    );
    await pause(1000 / perSecond);
  }
  const management = fleet.gateways[0]?.management ?? '';
  const { text } = await fetchText(management, '/readyz?verbose', { headers: {} });
  await Promise.all([stuttered, ...open]);
  redis.forwarder.lateness = punctual;
  const count = (of: number): number => statuses.filter((status) => status === of).length;
  const [admitted, refused] = [count(200), count(429)];
  const line = text.split('\n').find((one) => one.includes('limits ')) ?? 'no check of limits';
  return { admitted, refused, failed: statuses.length - admitted - refused, readiness: line };
}

async function run(place: Place): Promise<PartReport> {
  const redis = await startRedis(place);
  await using backend = await startFakeBackend();
  const keys = patterns.map((_, index) => ({ key: keyOf(index), user_id: `pattern-${index}` }));
  await using fleet = await startFleet(gateways, {
    folder: place.folder,
    redisUrl: `redis://127.0.0.1:${redis.forwarder.port}`,
    backends: [{ name: 'fake', url: backend.url }],
    config: {
      server: { workers: 1 },
      auth: { enabled: true, pipeline: [{ name: 'keys', type: 'static', static: { keys } }] },
      rate_limit: { enabled: true, per_key: { requests_per_minute: requestsPerMinute } },
    },
  });
  await pause(acquaintedMs);
  const found: Found[] = [];
  for (const [index, pattern] of patterns.entries()) {
    const one = await suffer(fleet, redis, pattern, keyOf(index));
    found.push(one);
    place.say(`${pattern.name}: ${one.admitted} admitted; ${one.readiness}`);
  }
  return {
    checks: checksOf(found),
    head: ['pattern', 'admitted', 'refused', 'limits, by readyz at its end'],
    rows: rowsOf(found),
  };
}

const rowsOf = (found: readonly Found[]): string[][] =>
  found.map(({ admitted, refused, readiness }, index) => [
    patterns[index]?.name ?? '',
    `${admitted}`,
    `${refused}`,
    readiness.startsWith('[+]') ? 'well' : 'failing', // what they say besides may be of the pattern before
  ]);

function checksOf(found: readonly Found[]): Check[] {
  const bound = requestsPerMinute + share;
  const admitted = found.map((one) => one.admitted);
  const failed = found.reduce((sum, one) => sum + one.failed, 0);
  return [
    {
      text: `each time at most ${bound} are admitted: the limit of ${requestsPerMinute} and one local share`,
      ok: admitted.every((count) => count <= bound),
      found: admitted.join(', '),
    },
    {
      text: 'and the limit does not fall below a local share of each worker',
      ok: admitted.every((count) => count >= share),
      found: `at least ${Math.min(...admitted)}`,
    },
    {
      text: 'every request is served or refused by its limit',
      ok: failed === 0,
      found: failed === 0 ? 'no errors' : `${failed} errors`,
    },
  ];
}

export const stutters: Part = {
  title: 'Redis stutters, is late, is far away',
  what: `A key of ${requestsPerMinute} requests per minute on two gateways of one worker each is asked ${perSecond} times a second for ${lastsMs / 1000} s, while Redis is stopped (SIGSTOP) again and again, or a forwarder before it is late. Each time another key, so that nothing is left of the time before.`,
  run,
};
