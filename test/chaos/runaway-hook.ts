import { request } from 'undici';
import type { Target } from '../bench/target.ts';
import type { LoadReport } from '../bench/plan.ts';
import type { Check, Scenario } from './scenario.ts';
import { onStand, type Stand } from './stand.ts';

const ratePerSecond = 200;
const durationMs = 8_000;
const budgetMs = 50;
/** What a request beside a runaway may wait for it. */
const addedMsMax = 10;
/** From the wall clock: on a machine that others use, a run may be given its time late. */
const runawayMsMax = 2 * budgetMs;

/** The rest of the traffic: its latency from the time each request was due. */
function others({ generator }: Stand, { to }: Target): Promise<LoadReport> {
  const plan = { ratePerSecond, streamEvery: Number.MAX_SAFE_INTEGER, warmUpMs: 2_000, durationMs };
  return generator.run({ mode: 'open', to, watch: {}, ...plan });
}

/** One runaway after the other until told to stop; resolves with how long each took, and what it was answered. */
async function runAway({ to }: Target, stopped: () => boolean): Promise<{ ms: number; status: number }[]> {
  const runs: { ms: number; status: number }[] = [];
  while (!stopped()) {
    const startMs = performance.now();
    const { statusCode, body } = await request(`http://127.0.0.1:${to.port}/v1/chat/completions`, {
      method: 'POST',
      headers: { ...to.headers, 'x-runaway': 'yes' },
      body: '{"model":"m","messages":[]}',
    });
    await body.dump();
    runs.push({ ms: performance.now() - startMs, status: statusCode });
  }
  return runs;
}

async function run(stand: Stand): Promise<readonly Check[]> {
  const { gateway } = stand;
  stand.say(`${ratePerSecond} requests/s whose keys a hook judges …`);
  const alone = await others(stand, gateway);
  stand.say('… and beside them one hook after the other that never ends by itself');
  let stopped = false;
  const running = runAway(gateway, () => stopped);
  const beside = await others(stand, gateway);
  stopped = true;
  const runs = await running;
  const took = runs.map(({ ms }) => ms).sort((a, b) => a - b);
  const median = took[Math.floor(took.length / 2)] ?? Number.NaN;
  const added = beside.latency.p99 - alone.latency.p99;
  return [
    {
      text: 'every runaway is refused',
      ok: runs.length > 0 && runs.every(({ status }) => status === 403),
      found: `${runs.length} runaways, ${runs.filter(({ status }) => status !== 403).length} answered otherwise`,
    },
    {
      text: `a runaway costs its own request its budget of ${budgetMs} ms`,
      ok: median <= runawayMsMax,
      found: `median ${median.toFixed(1)} ms`,
    },
    {
      text: `no other request waits more than ${addedMsMax} ms for it (p99)`,
      ok: added <= addedMsMax && beside.errors === 0,
      found: `p50 ${alone.latency.p50.toFixed(1)} → ${beside.latency.p50.toFixed(1)} ms, p99 ${alone.latency.p99.toFixed(1)} → ${beside.latency.p99.toFixed(1)} ms, ${beside.errors} errors`,
    },
  ];
}

export const runawayHook: Scenario = {
  name: 'runaway-hook',
  shows: 'a hook that never ends costs its own request its budget, and hardly any other request anything',
  run: onStand(run, 'hook'),
};
