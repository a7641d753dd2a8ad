export { openKeyTables, type KeyTables, type KeyTablesOptions } from './key-tables.ts';
export type { KeyTable } from './core/select-key.ts';
export type { KeyDatabase } from './engine.ts';
