export { errorField } from './core/error-field.ts';
export { openPostgresPool, StatementPooling } from './postgres-pool.ts';
export type { PostgresConnection, PostgresPool, PostgresPoolOptions } from './postgres-pool.ts';
