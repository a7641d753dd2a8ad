export { EventsRefused, openLedger, type Ledger, type LedgerOptions } from './ledger.ts';
export { sqlAddress, type SqlParts } from './core/sql-address.ts';
export { type UsageTotal, type UsageTotalsQuery } from './queries/usage-totals.ts';
