import { z } from 'zod';
import { count, duration, enabled, filePath, headerMap, httpUrl, name } from './leaves.ts';

const Webhook = z
  .strictObject({
    url: httpUrl().describe('Where batches of usage events are sent.'),
    method: z.enum(['POST', 'PUT']).default('POST').describe('HTTP method.'),
    timeout: duration()
      .prefault('3s')
      .describe('Longest wait for the answer to one attempt. In ms once loaded.'),
    retry: count(0, 100)
      .default(8)
      .describe(
        'Extra attempts after the first, with growing pauses; after the last one it becomes a dead letter.',
      ),
    headers: headerMap().default({}).describe('Headers added to each delivery.'),
    secret: z
      .string()
      .min(1)
      .optional()
      .describe('Signs each delivery with an HMAC-SHA256. Better `${ENV}` than plain text.'),
  })
  .describe('For type `webhook`.');

const noTable = 'expected a table name: a letter or _, then letters, digits or _, at most 63 characters';
const DatabaseReporter = z
  .strictObject({
    storage: name().describe('Name of an entry of `storage.databases`.'),
    table: z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/, { error: noTable })
      .default('usage_records')
      .describe('Table the events are inserted into; created when missing.'),
  })
  .describe('For type `database`.');

const Reporter = z
  .strictObject({
    name: name().describe('Unique name; its queue, its dead letters and its metrics carry it.'),
    type: z.enum(['webhook', 'database']).describe('What receives the events.'),
    enabled: enabled('Send events to this reporter.'),
    webhook: Webhook.optional(),
    database: DatabaseReporter.optional(),
  })
  .describe('One receiver of usage events.');

export const Usage = z
  .strictObject({
    enabled: enabled('Emit a usage event per finished request.'),
    include_request_body: z
      .boolean()
      .default(false)
      .describe('Put the request body into each event. Prompts may be personal data.'),
    reporters: z
      .array(Reporter)
      .prefault([])
      .describe('Where the events go; each is served and retried on its own.'),
  })
  .prefault({ enabled: false })
  .describe('What each request used, and who is told. Without this block no events are emitted.');

const Database = z
  .strictObject({
    name: name().describe('Unique name that `usage.reporters[].database.storage` refers to.'),
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
    max_open_conns: count(1, 10_000)
      .optional()
      .describe('Most connections held open, for postgres and mysql. Unset: 10.'),
  })
  .describe('One SQL database.');

export const Storage = z
  .strictObject({
    databases: z.array(Database).default([]).describe('SQL databases that other blocks refer to by name.'),
  })
  .prefault({})
  .describe('Databases. The gateway itself never opens them; the worker does.');
