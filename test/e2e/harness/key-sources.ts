/** The same keys in every source that a gateway knows, each in the spelling that is usual there. */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { play, startFakeBackend } from '@llmproxy/fake-backend';
import { storeKeyRecord, type KeyRecord } from '@llmproxy/key-store';
import { mariadbForTests, postgresForTests } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import mysql from 'mysql2/promise';
import pg from 'pg';
import { stringify } from 'yaml';
import type { Setup } from './gateway.ts';

/** What is said of a key. Times are RFC 3339. */
export type KeyFields = Readonly<
  Partial<
    Pick<
      KeyRecord,
      | 'user_id'
      | 'starts_at'
      | 'expires_at'
      | 'allowed_ips'
      | 'denied_ips'
      | 'allowed_models'
      | 'total_quota'
      | 'used_quota'
      | 'balance'
    > & { status: string }
  >
>;

/** Each source with a file of its own, tables, or a service. */
export const sourceNames = [
  'static',
  'file',
  'api_keys',
  'builtin',
  'redis hash',
  'redis json',
  'postgres',
  'mariadb',
  'sqlite',
  'webhook',
  'lua',
] as const;
export type SourceName = (typeof sourceNames)[number];

export const secretOf = (source: SourceName, kind: string): string =>
  `sk-${source}-${kind}-0123456789`.replaceAll(' ', '-');

/** Those that hold whatever somebody wrote there; the others are checked when they are written or loaded. */
export const uncheckedSources = sourceNames.slice(4, 10);

export interface KeySources extends AsyncDisposable {
  /** Blocks of a config whose gateway asks all sources in turn. */
  readonly config: NonNullable<Setup['config']>;
}

type Kinds = Readonly<Record<string, KeyFields>>;

/** Puts all kinds of keys into all sources, and `odd` ones into those that nobody checks. */
export async function openKeySources(
  { all, odd }: { all: Kinds; odd: Kinds },
  place: { folder: string; redisUrl: string },
): Promise<KeySources> {
  await using resources = new AsyncDisposableStack();
  const keysOf = (source: SourceName) =>
    Object.entries(uncheckedSources.includes(source) ? { ...all, ...odd } : all).map(([kind, fields]) => ({
      key: secretOf(source, kind),
      ...fields,
    }));
  writeFileSync(join(place.folder, 'keys.yaml'), stringify({ keys: keysOf('file') }));
  await fillRedis(place.redisUrl, keysOf);
  const postgres = resources.use(await postgresForTests());
  const mariadb = resources.use(await mariadbForTests());
  const sqlite = join(place.folder, 'keys.db');
  await fillPostgres(postgres.url, keysOf('postgres'));
  await fillMariadb(mariadb.url, keysOf('mariadb'));
  fillSqlite(sqlite, keysOf('sqlite'));
  const webhook = resources.use(await startWebhook(keysOf('webhook')));
  const table = { table: 'order', key_column: 'key' };
  const kept = resources.move();
  return {
    config: {
      auth: {
        pipeline: [
          { name: 'static', type: 'static', static: { keys: keysOf('static') } },
          { name: 'file', type: 'file', file: { path: 'keys.yaml' } },
          { name: 'api_keys', type: 'file' },
          { name: 'builtin', type: 'builtin' },
          { name: 'hash', type: 'redis', redis: { storage: 'shop', key_pattern: 'shop:{api_key}' } },
          {
            name: 'json',
            type: 'redis',
            redis: { storage: 'shop', key_pattern: 'shop:{api_key_sha256}' },
          },
          {
            name: 'postgres',
            type: 'database',
            database: { storage: 'postgres', ...table, key_hash: 'sha256' },
          },
          { name: 'mariadb', type: 'database', database: { storage: 'mariadb', ...table } },
          { name: 'sqlite', type: 'database', database: { storage: 'sqlite', ...table } },
          { name: 'webhook', type: 'webhook', webhook: { url: `${webhook.url}/keys` } },
          { name: 'lua', type: 'lua', lua: { script: scriptFor(keysOf('lua')) } },
        ],
      },
      api_keys: keysOf('api_keys'),
      storage: {
        databases: [
          { name: 'postgres', driver: 'postgres', dsn: postgres.url },
          { name: 'mariadb', driver: 'mysql', dsn: mariadb.url },
          { name: 'sqlite', driver: 'sqlite', path: sqlite },
        ],
        caches: [{ name: 'shop', driver: 'redis', url: place.redisUrl }],
      },
      usage: { enabled: false, reporters: [] },
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

type Key = KeyFields & { readonly key: string };

const sha256 = (secret: string): string => createHash('sha256').update(secret).digest('hex');

async function fillRedis(url: string, keysOf: (source: SourceName) => readonly Key[]): Promise<void> {
  const redis = connectRedis({ url, connectionName: 'tests', whenDown: 'queue' });
  try {
    for (const { key, ...fields } of keysOf('builtin')) {
      const now = new Date().toISOString();
      const record = { name: key, masked_key: 'sk-b***6789', created_at: now, updated_at: now };
      await storeKeyRecord(redis, sha256(key), { ...record, status: 'active', ...fields } as KeyRecord);
    }
    for (const { key, ...fields } of keysOf('redis hash')) await redis.hset(`shop:${key}`, asTexts(fields));
    for (const { key, ...fields } of keysOf('redis json')) {
      await redis.set(`shop:${sha256(key)}`, JSON.stringify(fields));
    }
  } finally {
    await closeRedis(redis);
  }
}

/** A hash knows texts only; lists are kept with commas. A key must say something to be there at all. */
const asTexts = (fields: KeyFields): Record<string, string> => ({
  name: 'of a hash',
  ...Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)])),
});

const columns = [
  'status',
  'starts_at',
  'expires_at',
  'allowed_ips',
  'denied_ips',
  'allowed_models',
  'total_quota',
  'used_quota',
  'balance',
  'user_id',
] as const;

const createTable = (name: string, key: string, timeType: string): string =>
  `create table ${name} (${key} varchar(100) primary key, status varchar(20), starts_at ${timeType},
    expires_at ${timeType}, allowed_ips text, denied_ips text, allowed_models text, total_quota bigint,
    used_quota bigint, balance decimal(12, 2), user_id varchar(40))`;

/** As a row of the table; times as SQL spells them, in UTC, and lists as JSON. */
const rowOf = (key: Key, keyed = key.key): (string | number | null)[] => [
  keyed,
  ...columns.map((name) => {
    const value = key[name];
    if (value === undefined) return null;
    if (Array.isArray(value)) return JSON.stringify(value);
    return name.endsWith('_at')
      ? String(value).replace('T', ' ').replace('Z', '')
      : (value as string | number);
  }),
];

async function fillPostgres(url: string, keys: readonly Key[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(createTable('"order"', '"key"', 'timestamp'));
    const places = ['key', ...columns].map((_, i) => `$${i + 1}`).join(', ');
    const insert = `insert into "order" ("key", ${columns.join(', ')}) values (${places})`;
    for (const key of keys) await client.query(insert, rowOf(key, sha256(key.key)));
  } finally {
    await client.end();
  }
}

async function fillMariadb(url: string, keys: readonly Key[]): Promise<void> {
  const connection = await mysql.createConnection(url);
  try {
    await connection.query(createTable('`order`', '`key`', 'datetime'));
    const insert = `insert into \`order\` (\`key\`, ${columns.join(', ')}) values (?)`;
    for (const key of keys) await connection.query(insert, [rowOf(key)]);
  } finally {
    await connection.end();
  }
}

function fillSqlite(path: string, keys: readonly Key[]): void {
  const database = new DatabaseSync(path);
  database.exec(createTable('"order"', '"key"', 'text'));
  const places = ['key', ...columns].map(() => '?').join(', ');
  const insert = database.prepare(`insert into "order" ("key", ${columns.join(', ')}) values (${places})`);
  for (const key of keys) insert.run(...rowOf(key));
  database.close();
}

/** Answers as a service of one's own would: 404 for what it does not know. */
function startWebhook(keys: readonly Key[]) {
  const known = new Map(keys.map(({ key, ...fields }) => [key, { status: 'active', ...fields }]));
  return startFakeBackend({
    plays: {
      '/keys': (request) => {
        const found = known.get((request.json() as { api_key: string }).api_key);
        return found ? play.json(found) : play.json({ error: 'no such key' }, { status: 404 });
      },
    },
  });
}

/** A hook that is itself the list of keys. */
const scriptFor = (keys: readonly Key[]): string => `
local status = { ${keys.map(({ key, status = 'active' }) => `[${JSON.stringify(key)}] = '${status}'`).join(', ')} }
return { allow = status[api_key] == 'active', message = 'no key of ours' }`;
