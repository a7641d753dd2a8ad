export { openQuotaReset, type QuotaReset, type QuotaResetOptions } from './quota-reset.ts';
export type { SweepEvents } from './sweep.ts';
