/**
 * One probe from claim to verdict. Guarantee: however many schedulers run, at most one probe of a backend is under
 * way, and none follows another too closely; so the streak that is kept in the verdict counts each interval once.
 */
import { isHealthy, publishVerdict, readVerdicts, type HealthVerdict } from '@llmproxy/health-verdicts';
import { redisKeys, type RedisClient } from '@llmproxy/redis';
import { setTimeout as delay } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import { probeDelay, shortestGap, type ProbeTiming } from './core/probe-timing.ts';
import { afterProbe, unprobed, type Health, type Thresholds } from './core/thresholds.ts';
import { probeBackend, type ProbedBackend, type ProbeRequest } from './probe-backend.ts';

export type ProbeRules = ProbeRequest & ProbeTiming & Thresholds;

export interface ProbeOutcome {
  backend: string;
  ok: boolean;
  /** Until the answer or the failure. */
  seconds: number;
}

export interface ProberOptions {
  redis: RedisClient;
  dispatcher: Dispatcher;
  rules: ProbeRules;
  /** Called after each probe. */
  onProbe(outcome: ProbeOutcome): void;
  /** Called when a backend became healthy or unhealthy. */
  onChange(verdict: HealthVerdict): void;
}

/** `atOnce`: without the random delay of a regular probe, and only when the last one is an interval ago. */
export type Probe = (
  backend: ProbedBackend,
  when: 'atOnce' | 'jittered',
  signal: AbortSignal,
) => Promise<void>;

const claimMarginMs = 5_000;

/** @returns a function that rejects when Redis fails or `signal` gave up, and does nothing when it is not our turn */
export function createProber({ redis, dispatcher, rules, onProbe, onChange }: ProberOptions): Probe {
  return async (backend, when, signal) => {
    const delayMs = when === 'atOnce' ? 0 : probeDelay(rules, Math.random());
    const claim = redisKeys.probeClaim(backend.name);
    // A scheduler that is killed in mid-probe holds its claim no longer than the probe could have taken.
    const claimMs = delayMs + rules.timeoutMs + claimMarginMs;
    if ((await redis.set(claim, 'claimed', 'PX', claimMs, 'NX')) !== 'OK') return;
    let isDone = false;
    try {
      if (when === 'atOnce' && (await isFresh(backend.name))) return;
      if (delayMs > 0) await delay(delayMs, undefined, { signal });
      await probeAndPublish(backend, signal);
      isDone = true;
    } finally {
      await (isDone ? redis.pexpire(claim, shortestGap(rules)) : redis.del(claim));
    }
  };

  /** Another scheduler is already at it: its ticks come soon enough. */
  async function isFresh(backend: string): Promise<boolean> {
    const verdict = (await readVerdicts(redis, [backend])).get(backend);
    return verdict !== undefined && Date.now() - verdict.checkedAtMs < rules.intervalMs;
  }

  async function probeAndPublish(backend: ProbedBackend, signal: AbortSignal): Promise<void> {
    const startedMs = performance.now();
    const result = await probeBackend(backend, rules, { dispatcher, signal });
    const ok = result.error === null;
    onProbe({ backend: backend.name, ok, seconds: (performance.now() - startedMs) / 1000 });
    const before = await healthOf(redis, backend.name, rules);
    const after = afterProbe(before, ok, rules);
    const verdict = { backend: backend.name, ...after, checkedAtMs: Date.now(), ...result };
    await publishVerdict(redis, verdict);
    if (before.healthy !== after.healthy) onChange(verdict);
  }
}

/** What the last verdict says; one that gateways no longer heed counts as none here too. */
async function healthOf(redis: RedisClient, backend: string, rules: ProbeRules): Promise<Health> {
  const verdict = (await readVerdicts(redis, [backend])).get(backend);
  if (verdict === undefined) return unprobed;
  const heeded = isHealthy(verdict, Date.now(), Math.max(rules.intervalMs, rules.timeoutMs));
  return heeded === verdict.healthy ? verdict : unprobed;
}
