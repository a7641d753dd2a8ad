export { EventsRefused, openLedger, type Ledger, type LedgerOptions } from './ledger.ts';
export { type UsageTotal, type UsageTotalsQuery } from './queries/usage-totals.ts';
