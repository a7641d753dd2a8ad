/**
 * What hooks cost: CPU-µs per run of small ones, and the longest time the event loop was held up while each bomb of the corpus ran, best of
 * several runs because other processes disturb it. Run alone on a quiet machine: `node libs/shared/lua/lua.bench.ts`.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { compileHook, decisionOf, type HookBudget } from './index.ts';

const RUNS = 9;
const CALLS = 20_000;
/** Runs between two turns of the event loop: few enough that none has to wait for its turn. */
const CALLS_PER_TURN = 20;

function cpuMicroseconds(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

async function cost(name: string, source: string, globals: Readonly<Record<string, unknown>>): Promise<void> {
  const hook = compileHook(source, { name });
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const before = cpuMicroseconds();
    for (let i = 0; i < CALLS; i += CALLS_PER_TURN) {
      for (let j = 0; j < CALLS_PER_TURN; j++) {
        const outcome = hook.run(globals);
        if (outcome instanceof Promise) throw new Error('a small hook had to wait');
        decisionOf(outcome);
      }
      await new Promise(setImmediate);
    }
    times.push((cpuMicroseconds() - before) / CALLS);
  }
  times.sort((a, b) => a - b);
  console.log(
    `${name.padEnd(44)} ${times[0]?.toFixed(2).padStart(8)} ${times[RUNS >> 1]?.toFixed(2).padStart(8)}`,
  );
}

const request = {
  api_key: 'sk-1234567890abcdef',
  data: { status: 'active', user_id: 'u-17', balance: '12.5', total_quota: 1_000_000, used_quota: 5 },
  request: {
    method: 'POST',
    path: '/v1/chat/completions',
    ip: '203.0.113.7',
    headers: {
      Host: 'gateway',
      'User-Agent': 'openai/1.0',
      'Content-Type': 'application/json',
      Accept: '*/*',
    },
  },
  metadata: {},
};

console.log(`${'µs of CPU per run and decision'.padEnd(44)}     best   median`);
await cost('return true, no globals', 'return true', {});
await cost('return true, globals of a request', 'return true', request);
await cost(
  'balance, quota and metadata',
  `if tonumber(data.balance) <= 0 then return { allow = false, message = "no balance" } end
   if data.used_quota >= data.total_quota then return { allow = false, message = "no quota" } end
   return { allow = true, metadata = { user_id = data.user_id } }`,
  request,
);
await cost(
  'patterns, a loop and a callback',
  `local agent = request.headers["User-Agent"]:match("^(%w+)/")
   local n = 0
   for i = 1, 50 do n = n + i end
   local path = request.path:gsub("%a+", function(s) return s:upper() end)
   return agent == "openai" and n > 0 and #path > 0`,
  request,
);

async function longestStall(source: string, budget: Partial<HookBudget>): Promise<number> {
  let best = Infinity;
  for (let run = 0; run < RUNS; run++) {
    const hook = compileHook(source, { name: 'bomb', budget });
    let [worst, last, ended] = [0, performance.now(), false];
    const look = (): void => {
      const now = performance.now();
      worst = Math.max(worst, now - last);
      last = now;
    };
    const tick = (): void => {
      look();
      if (!ended) setImmediate(tick);
    };
    setImmediate(tick);
    await hook.run({});
    look();
    ended = true;
    await new Promise(setImmediate);
    best = Math.min(best, worst);
  }
  return best;
}

const folder = new URL('./bombs/', import.meta.url);
const stalls: [string, number][] = [];
for (const file of readdirSync(folder)) {
  stalls.push([file, await longestStall(readFileSync(new URL(file, folder), 'utf8'), {})]);
}
stalls.sort(([, a], [, b]) => b - a);
console.log('\nlongest stall of the event loop, ms: the ten worst bombs');
for (const [file, ms] of stalls.slice(0, 10)) console.log(`${file.padEnd(44)} ${ms.toFixed(2).padStart(8)}`);
