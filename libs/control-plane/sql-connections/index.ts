export { errorField } from './core/error-field.ts';
export { openPostgresPool, StatementPooling } from './postgres-pool.ts';
export type { SqlTls } from './tls.ts';
export type { PostgresConnection, PostgresPool, PostgresPoolOptions } from './postgres-pool.ts';
export { isMysqlHangUp } from './core/mysql-failures.ts';
export { openMysqlPool } from './mysql-pool.ts';
export type { MysqlConnection, MysqlPool, MysqlPoolOptions, MysqlQuery } from './mysql-pool.ts';
