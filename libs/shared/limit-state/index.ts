export type {
  Admitted,
  Batch,
  Figure,
  Hold,
  Lease,
  LimitOp,
  LimitReply,
  Refused,
  ScopeUse,
  Transacted,
} from './core/batch.ts';
export type { LimitName, LimitScope, Quota, RateLimits } from './core/batch.ts';
export { holds, leaseMs } from './core/batch.ts';
export { transactInMemory } from './core/model.ts';
export { burstOf } from './core/wire.ts';
export { limitKeys } from './limit-keys.ts';
export { transact } from './transact.ts';
