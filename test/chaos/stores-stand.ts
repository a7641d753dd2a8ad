/** Two gateways, a worker and a scheduler on one Redis, with usage into SQLite, under load. */
import { openai, startFakeBackend } from '@llmproxy/fake-backend';
import type { RedisTarget } from '@llmproxy/redis';
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { startApp, type Child } from '../e2e/harness/child.ts';
import { startFleet } from '../e2e/harness/fleet.ts';
import { databaseIn } from '../e2e/harness/gateway.ts';
import type { Check, Place } from './scenario.ts';
import { mostInAMinute, startLoad, type StoresLoad } from './stores-load.ts';

const gateways = 2;
const perSecond = 30;
/** Of one key, for which more is asked all the while, so that it decides. */
const requestsPerMinute = 600;
const limitedKey = 'sk-limited-0123456789abcdef';
/** Never refused: whatever becomes of the limit, there is something to consume. */
const freeKey = 'sk-free-0123456789abcdef';
/** By then the worker has consumed, and the scheduler probed, or it counts as dead. */
const resumedMsMax = 120_000;
const pollMs = 200;

export interface StoresStand extends AsyncDisposable {
  readonly load: StoresLoad;
  /**
   * Waits until each request admitted so far has its row and the scheduler has probed again.
   * @returns how long each took, in ms, or undefined for what did not happen in time
   */
  resumed(): Promise<{ worker: number | undefined; scheduler: number | undefined }>;
  /** Ends the load and says what became of its requests. */
  end(): Promise<readonly Check[]>;
}

export async function startStoresStand(place: Place, target: RedisTarget): Promise<StoresStand> {
  const stack = new AsyncDisposableStack();
  place.children.alsoStop(() => stack.disposeAsync());
  const backend = stack.use(await startFakeBackend({ plays: { '/v1/chat/completions': openai.chat() } }));
  const keys = [
    { key: limitedKey, user_id: 'limited', limits: { requests_per_minute: requestsPerMinute } },
    { key: freeKey, user_id: 'free' },
  ];
  const fleet = stack.use(
    await startFleet(gateways, {
      folder: place.folder,
      redisUrl: target.url,
      backends: [{ name: 'fake', url: backend.url }],
      config: {
        redis: { url: target.url, cluster: target.cluster ?? false },
        server: { workers: 1 },
        auth: { pipeline: [{ name: 'keys', type: 'static', static: { keys } }] },
        rate_limit: { enabled: true },
        health_check: { interval: '500ms', path: '/health' },
        log: { level: 'info' },
      },
    }),
  );
  const first = `${place.folder}/gateway-0`;
  const config = ['--config', `${first}/config.yaml`];
  const worker = stack.use(startApp('worker', config, first));
  const scheduler = stack.use(startApp('scheduler', config, first));
  await Promise.all([worker.ready, scheduler.ready]);
  const ended = watchEnds({ worker, scheduler, ...Object.fromEntries(fleet.gateways.entries()) });
  const rows = (): ReadonlyMap<string, number> => rowsIn(databaseIn(first));
  const load = startLoad(() => fleet.next(), perSecond, [limitedKey, limitedKey, freeKey, freeKey]);
  return {
    load,
    async resumed() {
      const due = load.admitted.map(({ id }) => id);
      const probes = backend.requests.length;
      const [byWorker, byScheduler] = await Promise.all([
        tookMs(() => {
          const there = rows();
          return due.every((id) => there.has(id));
        }),
        tookMs(() => backend.requests.slice(probes).some(({ target: path }) => path === '/health')),
      ]);
      return { worker: byWorker, scheduler: byScheduler };
    },
    async end() {
      await load.stop();
      const all = load.admitted.map(({ id }) => id);
      await tookMs(() => rows().size >= all.length);
      return checksOf(load, rows(), ended());
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Rows of each request. */
function rowsIn(path: string): ReadonlyMap<string, number> {
  if (!existsSync(path)) return new Map();
  using database = new DatabaseSync(path, { readOnly: true });
  const found = database
    .prepare('SELECT request_id, count(*) AS n FROM usage_records GROUP BY request_id')
    .all();
  return new Map(found.map((row) => [String(row['request_id']), Number(row['n'])]));
}

async function tookMs(isDone: () => boolean): Promise<number | undefined> {
  const startedMs = performance.now();
  for (;;) {
    const tookMs = performance.now() - startedMs;
    if (tookMs > resumedMsMax) return undefined;
    if (isDone()) return tookMs;
    await pause(pollMs);
  }
}

/** Names of those that ended by themselves. */
function watchEnds(apps: Readonly<Record<string, Child>>): () => readonly string[] {
  const ended: string[] = [];
  for (const [name, { exited }] of Object.entries(apps)) void exited.then(() => ended.push(name));
  return () => ended;
}

function checksOf(
  load: StoresLoad,
  rows: ReadonlyMap<string, number>,
  ended: readonly string[],
): readonly Check[] {
  const all = load.admitted.map(({ id }) => id);
  const missing = all.filter((id) => !rows.has(id)).length;
  const twice = [...rows.values()].filter((n) => n > 1).length;
  const unknown = rows.size - (all.length - missing);
  const bound = requestsPerMinute + Math.floor(requestsPerMinute / gateways);
  const most = mostInAMinute(load.admitted.filter(({ key }) => key === limitedKey));
  const failures = [...load.failures].map(([what, times]) => `${times} × ${what}`);
  return [
    {
      text: 'each admitted request has exactly one row, and nothing else has one',
      ok: missing + twice + unknown === 0,
      found: `${all.length} admitted, ${missing} missing, ${twice} twice, ${unknown} unknown`,
    },
    {
      text: `of the limited key at most ${bound} admitted in any 60 s: the limit of ${requestsPerMinute} and one local share`,
      ok: most <= bound,
      found: `at most ${most}, and ${load.refused} refused in all`,
    },
    {
      text: 'every request is served or refused by its limit',
      ok: failures.length === 0,
      found: failures.length === 0 ? 'no errors' : failures.join('; '),
    },
    {
      text: 'nothing was restarted, and nothing ended',
      ok: ended.length === 0,
      found: ended.length === 0 ? 'nothing' : ended.join(', '),
    },
  ];
}
