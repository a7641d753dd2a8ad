/** However Redis is away, late or lost, to whichever workers: how much is let in. */
import type { LimitScope } from '@llmproxy/limit-state';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { share } from './core/local-share.ts';
import { openLimiterOn, type Limiter } from './limiter.ts';
import { fakeTime, ScriptedServer, type Spell } from './scripted-server.ts';

beforeEach(() => vi.useFakeTimers(fakeTime));
afterEach(() => vi.useRealTimers());

const spell: fc.Arbitrary<Spell> = fc.record({
  kind: fc.constantFrom('late', 'late', 'stopped', 'mute', 'cut'),
  ms: fc.oneof(fc.integer({ min: 20, max: 1500 }), fc.integer({ min: 20, max: 8000 })),
  lateMs: fc.constantFrom(1, 1, 80, 210, 1200),
});

/** All workers see the same Redis, or each has connections of its own. */
const outages = (workers: number): fc.Arbitrary<Spell[][]> => {
  const spells = fc.array(spell, { minLength: 3, maxLength: 20 });
  return fc.oneof(
    spells.map((same) => Array.from({ length: workers }, () => same)),
    fc.array(spells, { minLength: workers, maxLength: workers }),
  );
};

const everyMs = 100;

/** Requests for each worker and tenth of a second, with their tokens. */
const load = (workers: number, tenths: number) => {
  const requests = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 5 });
  const ofWorkers = fc.array(requests, { minLength: workers, maxLength: workers });
  return fc.array(ofWorkers, { minLength: 10, maxLength: tenths });
};

interface Seen {
  requests: number;
  tokens: number;
  open: number;
  mostOpen: number;
}

interface Run {
  readonly scope: LimitScope;
  readonly outages: readonly (readonly Spell[])[];
  readonly load: readonly (readonly (readonly number[])[])[];
  /** How long a request lasts for each token. */
  readonly tokenMs: number;
  /** Times that the load comes. */
  readonly rounds: number;
}

async function run({ scope, outages: of, load: asked, tokenMs, rounds }: Run): Promise<Seen> {
  const server = new ScriptedServer();
  const limiters: Limiter[] = [];
  for (const [at, spells] of of.entries()) {
    const choice = { worker: `w${at}`, onFailure: 'local', workersAtLeast: of.length } as const;
    const opening = openLimiterOn(server.connect(spells), choice);
    await vi.advanceTimersByTimeAsync(at === of.length - 1 ? 1100 : 0);
    limiters.push(await Promise.race([opening, vi.advanceTimersByTimeAsync(1100).then(() => opening)]));
  }
  const seen: Seen = { requests: 0, tokens: 0, open: 0, mostOpen: 0 };
  let ids = 0;
  const ask = async (limiter: Limiter, tokens: number) => {
    const admission = await limiter.admit({ id: `r${ids++}`, tokens, scopes: [scope] });
    if (admission.outcome !== 'granted') return;
    seen.requests++;
    seen.tokens += tokens;
    seen.mostOpen = Math.max(seen.mostOpen, ++seen.open);
    setTimeout(() => {
      seen.open--;
      limiter.settle(admission.handle, tokens);
    }, tokens * tokenMs);
  };
  for (let round = 0; round < rounds; round++) {
    for (const tenth of asked) {
      for (const [at, requests] of tenth.entries()) {
        for (const tokens of requests) void ask(limiters[at] as Limiter, tokens);
      }
      await vi.advanceTimersByTimeAsync(everyMs);
    }
  }
  // Nothing of it may be under way in the next run.
  const closed = Promise.all(limiters.map((limiter) => limiter.close()));
  await vi.advanceTimersByTimeAsync(20_000);
  await closed;
  return seen;
}

const workersOf = fc.integer({ min: 1, max: 4 });
const small = fc.integer({ min: 1, max: 40 });

/** The limit, and one local share of each other worker. */
const most = (limit: number, workers: number): number => limit + (workers - 1) * share(limit, workers);

test('of requests and tokens of a minute as many as the limit and a local share of each other worker, at most', async () => {
  const runs = workersOf.chain((workers) =>
    fc.tuple(
      fc.constant(workers),
      outages(workers),
      load(workers, 90),
      small,
      fc.integer({ min: 9, max: 200 }),
    ),
  );
  await fc.assert(
    fc.asyncProperty(runs, async ([workers, of, asked, requestsPerMinute, tokensPerMinute]) => {
      const scope = { tag: 'k:1', limits: { requestsPerMinute, tokensPerMinute } };
      const rounds = Math.floor(55_000 / everyMs / asked.length);
      const seen = await run({ scope, outages: of, load: asked, tokenMs: 100, rounds: Math.min(6, rounds) });
      expect(seen.requests).toBeLessThanOrEqual(most(requestsPerMinute, workers));
      expect(seen.tokens).toBeLessThanOrEqual(most(tokensPerMinute, workers));
    }),
    { numRuns: 60 },
  );
});

test('of requests at once no more either', async () => {
  const runs = workersOf.chain((workers) =>
    fc.tuple(fc.constant(workers), outages(workers), load(workers, 60), fc.integer({ min: 1, max: 12 })),
  );
  await fc.assert(
    fc.asyncProperty(runs, async ([workers, of, asked, maxConcurrent]) => {
      const scope = { tag: 'k:1', limits: { maxConcurrent } };
      const seen = await run({ scope, outages: of, load: asked, tokenMs: 1500, rounds: 3 });
      expect(seen.mostOpen).toBeLessThanOrEqual(most(maxConcurrent, workers));
    }),
    { numRuns: 60 },
  );
});
