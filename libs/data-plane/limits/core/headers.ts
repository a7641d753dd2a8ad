/** Limits as clients of OpenAI read them. Names and values alternate. */
import type { Figure } from '@llmproxy/limit-state';
import type { Refused } from './admission.ts';

/** `x-ratelimit-*` of a granted or a refused request; nothing for what is not limited. */
export function rateLimitHeaders(told: {
  readonly requests: Figure | null;
  readonly tokens: Figure | null;
}): string[] {
  return [...figureHeaders('requests', told.requests), ...figureHeaders('tokens', told.tokens)];
}

/** What else a 429 says: when to come back, or that there is no use in it. */
export function refusalHeaders({ retryAfterMs }: Pick<Refused, 'retryAfterMs'>): string[] {
  if (retryAfterMs < 0) return ['x-should-retry', 'false'];
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  return ['retry-after', String(seconds), 'retry-after-ms', String(Math.max(1, retryAfterMs))];
}

function figureHeaders(what: 'requests' | 'tokens', figure: Figure | null): string[] {
  if (figure === null) return [];
  return [
    `x-ratelimit-limit-${what}`,
    String(figure.limit),
    `x-ratelimit-remaining-${what}`,
    String(figure.remaining),
    `x-ratelimit-reset-${what}`,
    goDuration(figure.resetMs),
  ];
}

/** `17ms`, `1s`, `6m0s`, `1h0m0.5s`: what Go prints and OpenAI sends. */
export function goDuration(ms: number): string {
  if (ms <= 0) return '0s';
  if (ms < 1000) return `${ms}ms`;
  const seconds = `${(ms % 60_000) / 1000}s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes === 0) return seconds;
  const hours = Math.floor(minutes / 60);
  return hours === 0 ? `${minutes}m${seconds}` : `${hours}h${minutes % 60}m${seconds}`;
}
