export type { Admitted, Batch, Figure, Lease, LimitOp, LimitReply, Refused } from './core/batch.ts';
export type { LimitName, LimitScope, Quota, RateLimits } from './core/batch.ts';
export { holds, leaseMs } from './core/batch.ts';
export { transactInMemory } from './core/model.ts';
export { limitKeys } from './limit-keys.ts';
export { transact } from './transact.ts';
