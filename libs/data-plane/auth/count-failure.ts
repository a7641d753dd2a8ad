import { defineScript } from '@llmproxy/redis-script';
import type { FailurePolicy } from './core/failure-count.ts';

/** Where gateways hear of blocked scopes: `{"scope": "203.0.113.7", "blockMs": 60000}`. */
export const blockedChannel = 'lp:blocked';

/** Counts one failure for all gateways; replies for how long the scope is blocked now in ms, 0 when it is not. */
export const countFailure = defineScript({
  file: new URL('./scripts/count-failure.lua', import.meta.url),
  keys: ({ scope }: FailurePolicy & { scope: string }) => [`lp:{ip:${scope}}:failures`],
  args: ({ scope, failuresMax, windowMs, blockMs }) => [
    failuresMax,
    windowMs,
    blockMs,
    blockedChannel,
    JSON.stringify({ scope, blockMs }),
  ],
  reply: (blockedMs: number) => blockedMs,
});
