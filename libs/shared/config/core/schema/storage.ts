import { z } from 'zod';
import { count, enabled, filePath, name, redisUrls, sqlName } from './leaves.ts';
import { redisLogin } from './operations.ts';
import { clientTls } from './tls.ts';

const Database = z
  .strictObject({
    name: name().describe('Unique name that `usage.reporters` and `auth.pipeline` refer to.'),
    enabled: enabled('Open this database.'),
    driver: z.enum(['sqlite', 'postgres', 'mysql']).describe('The kind of database; `mysql` covers MariaDB.'),
    path: filePath()
      .optional()
      .describe(
        'The file of an SQLite database. Default: `llmproxy.db` in `data_dir`, so `./data/llmproxy.db`.',
      ),
    dsn: z
      .string()
      .regex(/^(postgres|postgresql|mysql):\/\/./, {
        error: 'expected a URL like postgres://user:password@host:5432/database or mysql://…',
      })
      .optional()
      .describe('Connection URL for postgres and mysql, instead of the parts below.'),
    host: z.string().min(1).optional().describe('Host name or address.'),
    port: count(1, 65_535).optional().describe('Port. Default: 5432 for postgres, 3306 for mysql.'),
    user: z.string().min(1).optional().describe('User name.'),
    password: z.string().optional().describe('Password. Better `${ENV}` than plain text.'),
    database: z.string().min(1).optional().describe('Name of the database on the server.'),
    schema: sqlName('schema')
      .optional()
      .describe(
        'Schema of a PostgreSQL database that holds our tables, and tables that are named without one. Unset: what the `search_path` of the user finds.',
      ),
    sslmode: z
      .enum(['disable', 'no-verify', 'require', 'verify-ca', 'verify-full'])
      .optional()
      .describe(
        'What is verified of the server. `disable`: no TLS. `no-verify`: TLS with any server. `verify-ca`: its certificate is by an authority of `tls.ca_file`, whatever its name. `verify-full` and `require`: by an authority, and for the host of the address. Unset: `disable`, with `tls` `verify-full`. For PostgreSQL it may stand in the `dsn` instead.',
      ),
    tls: clientTls('How the server is known, and our certificate for it.'),
    max_open_conns: count(1, 10_000)
      .optional()
      .describe('Most connections held open, for postgres and mysql. Unset: 10.'),
  })
  .describe('One SQL database.');

const noAddress = 'expected host:port, like localhost:6379 or [::1]:6379';
const Cache = z
  .strictObject({
    name: name().describe('Unique name that `auth.pipeline[].redis.storage` refers to.'),
    enabled: enabled('Connect to this Redis.'),
    driver: z.enum(['redis']).describe('The kind of store.'),
    url: redisUrls().optional().describe('The server as in `redis.url`, instead of the parts below.'),
    cluster: z.boolean().default(false).describe('Whether it is a Redis Cluster; see `redis.cluster`.'),
    addr: z
      .string()
      .regex(/^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}$/, { error: noAddress })
      .optional()
      .describe('`host:port` of the server; with `tls` it speaks TLS.'),
    db: count(0, 65_535).optional().describe('Number of the database. Default: 0.'),
    ...redisLogin,
  })
  .describe('One Redis with data of your own.');

export const Storage = z
  .strictObject({
    databases: z.array(Database).default([]).describe('SQL databases that other blocks refer to by name.'),
    caches: z.array(Cache).default([]).describe('Redis servers that other blocks refer to by name.'),
  })
  .prefault({})
  .describe(
    'Where data of your own lies. The gateway itself opens no SQL: the worker and the key lookup do.',
  );
