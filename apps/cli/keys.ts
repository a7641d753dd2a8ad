/** `llmproxy keys add|list|disable|enable|remove|restore`: the keys of the built-in store. */
import type { Config } from '@llmproxy/config';
import {
  changeKeyRecord,
  hashOfKey,
  keyIdOfHash,
  listKeyRecords,
  removeKeyRecord,
  storeKeyRecord,
  type StoredKey,
} from '@llmproxy/key-store';
import { limitKeys } from '@llmproxy/limit-state';
import {
  closeRedis,
  connectRedis,
  evictionRefusal,
  readEviction,
  redactRedisUrl,
  type RedisClient,
} from '@llmproxy/redis';
import { readArguments } from './arguments.ts';
import { copiedKeys, restoreArguments, restoreKeys, restoreOptions } from './key-copy.ts';
import { configOf } from './config-of.ts';
import { keyTable } from './key-table.ts';
import { newRecord, newSecret } from './new-key.ts';
import { redisOf } from './redis-of.ts';

const usage = `usage: llmproxy keys add --name NAME [-c FILE] [--user ID] [--models gpt-4o,llama-*]
                         [--quota TOKENS] [--quota-period daily|weekly|monthly|never]
                         [--starts WHEN] [--expires 2027-01-31|30d]
                         [--allowed-ips CIDR,…] [--denied-ips CIDR,…]
                         [--rps N] [--burst N] [--rpm N] [--tpm N] [--max-concurrent N]
       llmproxy keys list [-c FILE] [--json]
       llmproxy keys disable|enable ID|NAME [-c FILE]
       llmproxy keys remove ID|NAME [-c FILE] [--from COPY]
       llmproxy keys restore [ID|NAME]… [-c FILE] [--from COPY]`;

const text = { type: 'string' } as const;
const common = { config: { type: 'string', short: 'c' } } as const;
const addOptions = {
  ...common,
  name: text,
  user: text,
  models: text,
  quota: text,
  'quota-period': text,
  starts: text,
  expires: text,
  'allowed-ips': text,
  'denied-ips': text,
  rps: text,
  burst: text,
  rpm: text,
  tpm: text,
  'max-concurrent': text,
} as const;

/** Where a command says its result (for other programs too), and what a person should know beside it. */
export interface Output {
  result(line: string): void;
  note(line: string): void;
}

const terminal: Output = { result: (line) => console.log(line), note: (line) => console.error(line) };

/** @returns the exit code. @throws Error with what to do about it */
export async function keysCommand([action, ...args]: string[], out: Output = terminal): Promise<number> {
  switch (action) {
    case 'add':
      return add(args, out);
    case 'list':
      return list(args, out);
    case 'disable':
    case 'enable':
    case 'remove':
      return changeOne(action, args, out);
    case 'restore':
      return restore(args, out);
    default:
      out.note(usage);
      return 2;
  }
}

async function add(args: string[], out: Output): Promise<number> {
  const { values } = readArguments({ args, options: addOptions });
  const secret = newSecret();
  const record = newRecord(values, secret, Date.now());
  const config = configOf(values.config);
  const sha256 = hashOfKey(secret);
  await onRedis(config, async (redis) => {
    const refusal = await refusalOf(config, redis);
    if (refusal !== undefined) throw new Error(`no key was made: ${refusal}`);
    for await (const { sha256: other, record: taken } of listKeyRecords(redis)) {
      if (taken?.name !== record.name) continue;
      throw new Error(`there is a key named "${record.name}" already: ${keyIdOfHash(other)}`);
    }
    await storeKeyRecord(redis, sha256, record);
  });
  out.note(`Key "${record.name}" with the id ${keyIdOfHash(sha256)}. It is shown now and never again:`);
  out.result(secret);
  const { enabled, pipeline } = config.auth;
  if (!enabled || !pipeline.some(({ type }) => type === 'builtin')) {
    out.note('The gateway does not ask for it yet: auth.pipeline has no enabled provider of type builtin.');
  }
  return 0;
}

async function list(args: string[], out: Output): Promise<number> {
  const { values } = readArguments({
    args,
    options: { ...common, json: { type: 'boolean', default: false } },
  });
  const keys = await onRedis(configOf(values.config), allKeys);
  if (values.json) {
    for (const { sha256, ...found } of keys) {
      const fields = found.record ?? { unreadable: found.unreadable };
      out.result(JSON.stringify({ id: keyIdOfHash(sha256), ...fields }));
    }
  } else for (const line of keyTable(keys)) out.result(line);
  return 0;
}

const done = { disable: 'disabled', enable: 'enabled', remove: 'removed' } as const;

async function changeOne(action: keyof typeof done, args: string[], out: Output): Promise<number> {
  const { values, positionals } = readArguments({ args, options: restoreOptions, words: 2 });
  const [wanted] = positionals;
  if (wanted === undefined || positionals.length > 1 || (values.from !== undefined && action !== 'remove')) {
    out.note(usage);
    return 2;
  }
  const config = configOf(values.config);
  const sha256 = await onRedis(config, async (redis) => {
    const refusal = await refusalOf(config, redis);
    if (refusal !== undefined && action === 'enable') throw new Error(`not enabled: ${refusal}`);
    const found = theOne(await keysFor(action, { redis, config, from: values.from }), wanted);
    const status = action === 'enable' ? 'active' : 'disabled';
    const isThere =
      action === 'remove'
        ? await removeKey(redis, found)
        : await changeKeyRecord(redis, found, (record) => ({
            ...record,
            status,
            updated_at: new Date().toISOString(),
          }));
    if (!isThere) throw noSuchKey(wanted);
    // Whoever takes a right away must succeed, and should know where the others stand.
    if (refusal !== undefined) out.note(`warning: ${refusal}`);
    return found;
  });
  out.note(`${done[action]} ${wanted} (${keyIdOfHash(sha256)})`);
  return 0;
}

/** Why no key may be entrusted to this Redis; undefined when it may. */
async function refusalOf(
  { redis: { allow_eviction } }: Config,
  redis: RedisClient,
): Promise<string | undefined> {
  return evictionRefusal(await readEviction(redis), allow_eviction);
}

async function allKeys(redis: RedisClient): Promise<StoredKey[]> {
  const keys: StoredKey[] = [];
  for await (const key of listKeyRecords(redis)) keys.push(key);
  return keys;
}

async function restore(args: string[], out: Output): Promise<number> {
  const { config: path, from, wanted } = restoreArguments(args);
  const config = configOf(path);
  const restored = await onRedis(config, async (redis) =>
    restoreKeys(redis, await copiedKeys(config, from), wanted, out),
  );
  out.note(`${restored} restored; what is there, or was removed, is left as it is`);
  return 0;
}

interface Place {
  redis: RedisClient;
  config: Config;
  from: string | undefined;
}

/** A key that Redis has lost can still be removed, so that nobody restores it. */
async function keysFor(action: keyof typeof done, { redis, config, from }: Place): Promise<StoredKey[]> {
  const keys = await allKeys(redis);
  if (action !== 'remove') return keys;
  const known = new Set(keys.map(({ sha256 }) => sha256));
  return [...keys, ...(await copiedKeys(config, from)).filter(({ sha256 }) => !known.has(sha256))];
}

/** The hash of the key with this id, or else of the only one with this name. */
function theOne(keys: readonly StoredKey[], wanted: string): string {
  const byId = keys.find(({ sha256 }) => keyIdOfHash(sha256) === wanted.toLowerCase());
  if (byId !== undefined) return byId.sha256;
  const [named, ...more] = keys.filter(({ record }) => record?.name === wanted);
  if (named === undefined) throw noSuchKey(wanted);
  if (more.length === 0) return named.sha256;
  const ids = [named, ...more].map(({ sha256 }) => keyIdOfHash(sha256)).join(', ');
  throw new Error(`${1 + more.length} keys are named "${wanted}"; say which by its id: ${ids}`);
}

/** Not repeated when it looks like a secret, which belongs on no screen. */
const noSuchKey = (wanted: string) =>
  new Error(
    wanted.startsWith('sk-')
      ? 'say which key by its id or name, not by the key itself; see "llmproxy keys list"'
      : `no key has the id or name "${wanted}"; see "llmproxy keys list"`,
  );

const answerMsMax = 5_000;

async function onRedis<T>(config: Config, work: (redis: RedisClient) => Promise<T>): Promise<T> {
  const target = redisOf(config);
  const redis = connectRedis({
    ...target,
    connectionName: 'llmproxy-cli',
    whenDown: 'queue',
    commandTimeoutMs: answerMsMax,
  });
  try {
    await redis.ping().catch((cause: unknown) => {
      const why = cause instanceof Error ? cause.message : String(cause);
      const does = cause instanceof Error && cause.name === 'ReplyError' ? 'refuses' : 'does not answer';
      throw new Error(`Redis at ${redactRedisUrl(target.url)} ${does}: ${why}`);
    });
    return await work(redis);
  } finally {
    await closeRedis(redis);
  }
}

/** With the key goes the count of what it used: nobody else would ever delete it. */
async function removeKey(redis: RedisClient, sha256: string): Promise<true> {
  await removeKeyRecord(redis, sha256);
  await redis.del(limitKeys.quota(`k:${keyIdOfHash(sha256)}`));
  return true;
}
