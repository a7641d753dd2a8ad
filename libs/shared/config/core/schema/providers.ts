import { z } from 'zod';
import {
  byteSize,
  count,
  duration,
  enabled,
  filePath,
  headerMap,
  httpUrl,
  name,
  sqlName,
  sqlTable,
} from './leaves.ts';
import { Keys } from './keys.ts';
import { clientTls } from './tls.ts';

const Redis = z
  .strictObject({
    storage: name().describe('Name of an entry of `storage.caches`.'),
    key_pattern: z
      .string()
      .min(1)
      .refine((pattern) => /\{api_key(_sha256)?\}/.test(pattern), {
        error:
          'needs {api_key} or {api_key_sha256} where the key goes, or every client would read the same entry',
      })
      .default('llmproxy:key:{api_key}')
      .describe(
        'Name of the hash, or of the JSON text, that describes a key. `{api_key}` stands for the key, `{api_key_sha256}` for its SHA-256 in lower-case hex.',
      ),
  })
  .describe('For type `redis`.');

const Database = z
  .strictObject({
    storage: name().describe('Name of an entry of `storage.databases`.'),
    table: sqlTable().describe('Table or view that holds the keys, also as `schema.table`.'),
    key_column: sqlName('column').default('api_key').describe('Column that a key is looked up in.'),
    fields: z.array(sqlName('column')).default([]).describe('Columns to read. Empty: all.'),
    key_hash: z
      .enum(['none', 'sha256'])
      .default('none')
      .describe('How `key_column` holds a key: as clients send it, or as its SHA-256 in lower-case hex.'),
  })
  .describe('For type `database`.');

const Webhook = z
  .strictObject({
    url: httpUrl().describe('Whom to ask. Only a 2xx answer with a JSON object lets anyone in.'),
    method: z.enum(['POST', 'PUT']).default('POST').describe('HTTP method.'),
    timeout: duration().optional().describe('Older place of `timeout` of the provider.'),
    headers: headerMap().default({}).describe('Headers of the question, such as a credential.'),
    tls: clientTls('How a server at `https://` is known, and our certificate for it.'),
  })
  .describe('For type `webhook`.');

const script = () => z.string().min(1);

export const Lua = z
  .strictObject({
    script: script().optional().describe('The hook: Lua that returns whether a key is let in.'),
    path: filePath().optional().describe('File that holds the hook, instead of `script`.'),
    timeout: duration()
      .prefault('50ms')
      .describe('Longest run of the hook, its waiting included; nobody gets in after it. In ms once loaded.'),
    max_memory: byteSize()
      .refine((bytes) => bytes >= 65_536, { error: 'must be at least 64KB; write the unit, as in 16MB' })
      .prefault('16MB')
      .describe('Most memory that one run may allocate.'),
    max_instructions: count(1000, 1_000_000_000)
      .default(1_000_000)
      .describe('Most instructions of one run; long work in the library counts as many.'),
  })
  .describe('Decides about the keys that this provider finds, in place of status, times, quota and balance.');

export const Cache = z
  .strictObject({
    ttl: duration('zero is allowed')
      .prefault('1s')
      .describe('How long a key that was found is not asked for again. In ms once loaded.'),
    negative_ttl: duration('zero is allowed')
      .prefault('1s')
      .describe('The same for a key that was not found. In ms once loaded.'),
    max_entries: count(1, 10_000_000)
      .default(10_000)
      .describe('Keys kept per worker; the one unused for longest makes room.'),
  })
  .describe('Answers kept by each worker; a change that is published empties it at once.');

export const Provider = z
  .strictObject({
    name: name().describe('Unique name, used in logs.'),
    type: z
      .enum(['static', 'file', 'builtin', 'redis', 'database', 'webhook', 'lua'])
      .describe(
        '`static`: keys in this file. `file`: keys in a file of their own, or in `api_keys`. `builtin`: keys kept in the Redis of the gateway. `redis`, `database`, `webhook`: keys kept elsewhere. `lua`: the hook alone decides.',
      ),
    enabled: enabled('Ask this provider.'),
    static: z
      .strictObject({ keys: Keys.describe('The keys of a `static` provider, written as in `api_keys`.') })
      .optional()
      .describe('Keys of a provider of type `static`.'),
    file: z
      .strictObject({
        path: filePath()
          .optional()
          .describe('YAML file with one list, `keys:`. Unset: the provider takes the top-level `api_keys`.'),
      })
      .optional()
      .describe('Where a provider of type `file` reads.'),
    redis: Redis.optional(),
    database: Database.optional(),
    webhook: Webhook.optional(),
    lua: Lua.optional(),
    lua_script: script()
      .optional()
      .meta({ deprecated: true })
      .describe('Older spelling of `lua.script`. Not together with `lua`.'),
    lua_script_file: filePath()
      .optional()
      .meta({ deprecated: true })
      .describe('Older spelling of `lua.path`. Not together with `lua`.'),
    on_error: z
      .enum(['deny', 'skip'])
      .optional()
      .describe(
        'When it cannot answer: `deny` the request with 503, or `skip` to the next provider. Default: `skip` with mode `first_match`, `deny` with mode `all`.',
      ),
    timeout: duration().optional().describe('Longest wait for its answer. Default: `5s`. In ms once loaded.'),
    cache: Cache.optional(),
  })
  .describe('One source of keys.');
