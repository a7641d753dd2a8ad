/**
 * What goes wrong when keys are looked up, told once per outage and not once per request, and how the sources of keys
 * fare as a check of `/readyz?verbose`.
 */
import type { AuthProblem } from '@llmproxy/auth';
import { createCondition, type Condition, type Logger } from '@llmproxy/telemetry';
import type { Clock } from '@llmproxy/time';

export interface AuthProblems {
  onProblem(problem: AuthProblem): void;
  /** A source answered, whether it knew the key or not. */
  onAnswer(provider: string): void;
  /** `ok`, or which sources do not answer, since when and why. */
  found(): string;
}

/** A source that answers for some keys and not for others is told so often at most. */
const outageAgainMs = 10_000;
/** The problem of a single key is told so often at most. */
const keyAgainMs = 60_000;
const keysToldMax = 1_000;

/** @param providers that are asked, by name */
export function openAuthProblems(
  log: Logger,
  providers: readonly string[],
  clock: Pick<Clock, 'monotonic'>,
): AuthProblems {
  const sources = new Map(providers.map((name) => [name, openSource(log, name, clock)]));
  const isDue = everySoOften(clock, keyAgainMs);
  return {
    onProblem({ kind, provider, keyId, reason }) {
      if (kind === 'source_failed') sources.get(provider)?.failed(reason);
      else if (isDue(`${kind} ${provider} ${keyId}`))
        log.warn({ problem: kind, provider, key_id: keyId, reason }, 'authentication problem');
    },
    onAnswer: (provider) => sources.get(provider)?.ok(),
    found() {
      const failing = [...sources].filter(([, source]) => !source.isWell());
      if (failing.length > 0) return failing.map(([name, source]) => `${name} ${source.found()}`).join('; ');
      return [...sources.values()].map((source) => source.found()).find((found) => found !== 'ok') ?? 'ok';
    },
  };
}

function openSource(log: Logger, provider: string, clock: Pick<Clock, 'monotonic'>): Condition {
  const isDue = everySoOften(clock, outageAgainMs);
  let isTold = false;
  return createCondition({
    onChange(cause) {
      if (cause !== undefined) {
        isTold = isDue(provider);
        if (isTold) log.warn({ provider, cause }, 'the source of keys does not answer');
      } else if (isTold) log.info({ provider }, 'the source of keys answers again');
    },
  });
}

/** Whether something of this name was let through longer ago than `againMs`; then it is let through now. */
function everySoOften(clock: Pick<Clock, 'monotonic'>, againMs: number): (name: string) => boolean {
  const lastMs = new Map<string, number>();
  return (name) => {
    const nowMs = clock.monotonic();
    if (nowMs - (lastMs.get(name) ?? -Infinity) < againMs) return false;
    if (lastMs.size >= keysToldMax) lastMs.clear();
    lastMs.set(name, nowMs);
    return true;
  };
}
