/** For specs: pipelines, sources and keys in one line. */
import { GatewayError } from '@llmproxy/errors';
import { FakeClock } from '@llmproxy/time';
import { openKeyring, openPipeline } from '../index.ts';
import type { AuthProblem, Decide, KeyData, KeyProvider, KeySource } from '../index.ts';
import { inboundWith } from './inbound.ts';

export const now = Date.UTC(2026, 0, 15, 12);
export const secret = 'sk-test-0123456789';
export const ip = '203.0.113.7';

export const listed = (data: KeyData = {}, key = secret) => openKeyring([{ key, ...data }], now);
export const unreachable: KeySource = { lookup: () => Promise.reject(new Error(`cannot ask for ${secret}`)) };
export const asked = (
  source: KeySource,
  over: Partial<{ onError: 'deny' | 'skip'; decide: Decide; ttlMs: number }> = {},
): KeyProvider => ({
  name: 'asked',
  source,
  decide: over.decide,
  onError: over.onError ?? 'deny',
  timeoutMs: 1000,
  cache: { ttlMs: over.ttlMs ?? 1000, negativeTtlMs: 1000, entriesMax: 10 },
});
export const knows = (data: KeyData | undefined): KeySource => ({ lookup: () => data });

/** A pipeline of these providers on a clock that stands still at `now`. */
export function open(options: Partial<Parameters<typeof openPipeline>[0]> & { providers: KeyProvider[] }) {
  const problems: AuthProblem[] = [];
  const onProblem = (problem: AuthProblem) => problems.push(problem);
  const clock = new FakeClock(now);
  const pipeline = openPipeline({ mode: 'first_match', clock, onProblem, ...options });
  /** The caller, or code, status and message of the refusal. */
  const check = async (key = secret, from = ip) => {
    try {
      return await pipeline.check(key, from, inboundWith());
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      return {
        code: error.code,
        status: error.statusIn('openai'),
        message: error.message,
        headers: error.headers,
      };
    }
  };
  return { pipeline, check, problems, clock };
}

export const one = (data: KeyData, overrides = {}) =>
  open({ providers: [{ name: 'keys', source: listed(data) }], overrides });
