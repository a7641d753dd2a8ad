/** What the loaded config says of keys, providers, limits and the connections they need. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { checkConfig, limitsOver, loadConfig, requiredRedis, tlsReader } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'llmproxy-access-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function write(text: string, name = `${++files}/config.yaml`): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}
const oneBackend = 'backends: [{ url: "http://localhost:1" }]\n';
const load = (text: string, env = {}) => loadConfig(write(`${oneBackend}${text}`), env);

describe('providers', () => {
  const webhook = '{ name: w, type: webhook, webhook: { url: http://localhost:2 } }';

  test.each([
    ['first_match', 'skip'],
    ['all', 'deny'],
  ])('with mode %s a provider that cannot answer is met with %s', (mode, on_error) => {
    expect(load(`auth: { mode: ${mode}, pipeline: [${webhook}] }`).auth.pipeline).toEqual([
      {
        name: 'w',
        type: 'webhook',
        hook: undefined,
        on_error,
        timeout: 5000,
        cache: { ttl: 1000, negative_ttl: 1000, max_entries: 10_000 },
        webhook: { url: 'http://localhost:2', method: 'POST', headers: {} },
      },
    ]);
  });

  test('what is said of a provider wins over its defaults', () => {
    const { pipeline } = load(`auth:
  pipeline:
    - { name: r, type: redis, on_error: deny, redis: { storage: c }, cache: { ttl: 0s } }
    - { name: w, type: webhook, webhook: { url: http://localhost:2, timeout: 2s } }
storage: { caches: [{ name: c, driver: redis, addr: 'localhost:6379' }] }`).auth;
    expect(pipeline).toMatchObject([
      {
        on_error: 'deny',
        timeout: 5000,
        cache: { ttl: 0, negative_ttl: 1000 },
        redis: { storage: 'c', key_pattern: 'llmproxy:key:{api_key}' },
      },
      { timeout: 2000 },
    ]);
  });

  test.each([
    ['lua: { script: return true }', {}],
    ['lua: { path: decide.lua }', {}],
    ['lua_script: return true', {}],
    ['lua_script_file: decide.lua', {}],
    ['lua: { script: return true, timeout: 3ms }', { timeMs: 3 }],
    ['lua: { script: return true, max_memory: 1MB }', { memoryBytes: 1_048_576 }],
    ['lua: { script: return true, max_instructions: 5000 }', { instructions: 5000 }],
  ])('%s is a hook whose text is there after loading', (setting, over) => {
    const config = write(`${oneBackend}auth: { pipeline: [{ name: l, type: lua, ${setting} }] }`);
    writeFileSync(join(dirname(config), 'decide.lua'), 'return true');
    expect(loadConfig(config, {}).auth.pipeline).toEqual([
      {
        name: 'l',
        type: 'lua',
        hook: {
          name: 'auth.pipeline.l',
          source: 'return true',
          budget: { timeMs: 50, memoryBytes: 16_777_216, instructions: 1_000_000, ...over },
        },
      },
    ]);
  });

  test('the older spellings of a hook are heeded, and check says what to write', () => {
    const path = write(
      `${oneBackend}auth: { pipeline: [{ name: l, type: lua,\n lua_script: return true }] }`,
      'older/config.yaml',
    );
    expect(checkConfig(path, {}).text).toMatch(
      /:3:2 {2}auth\.pipeline\[0\]\.lua_script: deprecated, write lua\.script$/,
    );
  });

  test('a provider that keeps no list may stand without any key in the file', () => {
    expect(load('auth: { pipeline: [{ name: b, type: builtin }] }').auth.pipeline).toMatchObject([
      { name: 'b', type: 'builtin' },
    ]);
  });

  test('the socket of the key lookup is absolute, by default in data_dir', () => {
    const auth = (lookup: string) =>
      load(`auth: { enabled: false, lookup: ${lookup} }\ndata_dir: state`).auth.lookup.listen;
    expect(auth('{}')).toBe(resolve('state/key-lookup.sock'));
    expect(auth('{ listen: unix:/run/lookup.sock }')).toBe('/run/lookup.sock');
    expect(auth('{ listen: unix:///run/lookup.sock }')).toBe('/run/lookup.sock');
    expect(auth('{ listen: unix:lookup.sock }')).toBe(join(folder, `${files}/lookup.sock`));
  });
});

test('a socket that the kernel would not open is told at once', () => {
  const text = `auth:
  pipeline: [{ name: d, type: database, database: { storage: crm, table: keys } }]
  lookup: { listen: 'unix:/${'x'.repeat(107)}' }
storage: { databases: [{ name: crm, driver: sqlite }] }`;
  expect(() => load(text)).toThrow(/:4:21 {2}auth\.lookup\.listen: the whole path is longer than/);
});

describe('keys', () => {
  const key = (settings: string) => {
    const [provider] = load(`auth: {}\napi_keys: [{ key: sk-12345678, ${settings} }]`).auth.pipeline;
    return provider?.type === 'file' ? provider.keys[0] : undefined;
  };

  test.each([
    ['total_quota: 1000', 1000],
    ['total_quota: 0', 0],
    ['total_quota: -1', null],
    ['used_quota: 5', null],
  ])('%s means %s tokens', (settings, total_quota) => {
    expect(key(settings)).toMatchObject({ total_quota });
  });

  test('limits in the spelling of master keys are limits', () => {
    expect(key('rate_limit: { requests_per_second: 5, burst_size: 10 }')).toMatchObject({
      limits: { requests_per_second: 5, burst_size: 10 },
    });
  });

  test('what is only for the records of the operator is gone after loading', () => {
    expect(key('created_at: 2026-01-01T00:00:00Z, updated_at: 1770000000')).not.toHaveProperty('created_at');
  });

  test('limits of keys in a file of their own are not switched off unnoticed', () => {
    const config = write(
      `${oneBackend}auth: { pipeline: [{ name: f, type: file, file: { path: keys.yaml } }] }\nrate_limit: { enabled: false }`,
      'off/config.yaml',
    );
    write('keys: [{ key: sk-12345678, total_quota: 5 }]', 'off/keys.yaml');
    expect(checkConfig(config, {}).text).toMatch(
      /off\/keys\.yaml:1:28 {2}keys\[0\]\.total_quota: rate_limit\.enabled is false: this would have no effect\n/,
    );
  });
});

describe('limits', () => {
  test('without a word about them nothing is limited but what brings limits of its own', () => {
    const unlimited = { enabled: true, mode: 'enforce' };
    expect(load('').rate_limit).toEqual({
      enabled: true,
      storage: 'redis',
      on_redis_failure: 'local',
      redis_timeout: 100,
      time_zone: 'UTC',
      default_max_tokens: 1024,
      global: unlimited,
      per_key: unlimited,
      per_ip: unlimited,
      per_backend: unlimited,
      quota: { mode: 'enforce' },
    });
  });

  test('a scope is enforced as soon as it is written down', () => {
    expect(load('rate_limit: { global: { requests_per_second: 500 } }').rate_limit.global).toEqual({
      enabled: true,
      mode: 'enforce',
      requests_per_second: 500,
    });
  });

  test('limits of a backend replace those of all backends one by one', () => {
    const limited = (rateLimit: string) =>
      loadConfig(
        write(
          `backends: [{ url: 'http://a' }, { url: 'http://b', limits: { max_concurrent: 1 } }]\nrate_limit: ${rateLimit}`,
        ),
        {},
      ).backends.map(({ limits }) => limits);
    expect(limited('{ per_backend: { max_concurrent: 8, tokens_per_minute: 9 } }')).toEqual([
      { max_concurrent: 8, tokens_per_minute: 9 },
      { max_concurrent: 1, tokens_per_minute: 9 },
    ]);
    expect(limited('{}')).toEqual([{}, { max_concurrent: 1 }]);
  });

  test.each([
    [{ requests_per_second: 10 }, { requests_per_second: 10 }],
    [{ burst_size: 7 }, { requests_per_second: 2, burst_size: 7 }],
    [
      { requests_per_second: 10, burst_size: 1 },
      { requests_per_second: 10, burst_size: 1 },
    ],
    [{}, { requests_per_second: 2, burst_size: 4 }],
    [{ requests_per_second: -1 }, {}],
    [
      { max_concurrent: -1, requests_per_minute: 0 },
      { requests_per_second: 2, burst_size: 4, requests_per_minute: 0 },
    ],
  ])('limits %j of one over those of all are %j', (own, together) => {
    expect(limitsOver({ requests_per_second: 2, burst_size: 4 }, own)).toEqual(together);
  });
});

describe('Redis', () => {
  test.each([
    ["url: 'rediss://h:6380/1'", { url: 'rediss://h:6380/1', cluster: false }],
    ["addr: 'localhost:6379'", { url: 'redis://localhost:6379/0', cluster: false }],
    ["addr: '[::1]:6379', password: 'p@s/s', db: 3", { url: 'redis://[::1]:6379/3', password: 'p@s/s' }],
    ["addr: 'h:6380', tls: {}", { url: 'rediss://h:6380/0', tls: {} }],
    ["cluster: true, url: 'redis://a,redis://b'", { url: 'redis://a,redis://b', cluster: true }],
    ["cluster: true, url: 'redis://:pw@a:6379,b:6379'", { url: 'redis://:pw@a:6379,b:6379', cluster: true }],
  ])('a named Redis with %s is reached there', (parts, target) => {
    const { caches } = load(`storage: { caches: [{ name: c, driver: redis, ${parts} }] }`).storage;
    expect(caches).toMatchObject([{ name: 'c', ...target }]);
  });

  test('the environment may name the servers of a cluster', () => {
    const env = { LLMPROXY_REDIS_URL: 'redis://a:6379,redis://b:6379' };
    expect(load('redis: { cluster: true }', env).redis).toEqual({
      url: 'redis://a:6379,redis://b:6379',
      cluster: true,
      allow_eviction: false,
    });
    expect(() => load('', env)).toThrow(
      'environment  LLMPROXY_REDIS_URL: several servers are a Redis Cluster: set redis.cluster to true',
    );
  });

  test('the environment may name the server that the login of the file is for', () => {
    const login = 'redis: { username: gateway, password: secret, tls: {} }';
    const { redis } = load(login, { LLMPROXY_REDIS_URL: 'rediss://r:6380' });
    expect(redis).toMatchObject({ url: 'rediss://r:6380', username: 'gateway', password: 'secret', tls: {} });
    expect(() => load(login, { LLMPROXY_REDIS_URL: 'rediss://:other@r:6380' })).toThrow(
      'LLMPROXY_REDIS_URL: holds a user or a password, and redis.username is given too: write them in one place',
    );
    expect(() => load(login, { LLMPROXY_REDIS_URL: 'redis://r:6380' })).toThrow(
      'LLMPROXY_REDIS_URL: redis.tls is given: write rediss:// for TLS',
    );
    expect(() => load(login)).toThrow('redis.url: is required with username, or LLMPROXY_REDIS_URL');
  });
});

describe('files of passwords and certificates', () => {
  const certificates = resolve(import.meta.dirname, '../../../test/fixtures/tls');

  test('a password is read anew with each question, the line break at its end aside', () => {
    write('first secret\r\n', 'rotating/password');
    const file = write(
      `${oneBackend}redis: { url: 'redis://r', username: gateway, password_file: password }`,
      'rotating/config.yaml',
    );
    const { username, password } = requiredRedis(loadConfig(file, {}), file);
    expect([username, password?.()]).toEqual(['gateway', 'first secret']);
    const path = write('second secret ', 'rotating/password');
    expect(password?.()).toBe('second secret ');
    write('\n', 'rotating/password');
    expect(password).toThrow(`${path}: the file of the password is empty`);
    rmSync(path);
    expect(password).toThrow(`${path}: the file of the password does not exist`);
  });

  test('certificates are read anew with each question', () => {
    const ca_file = write(readFileSync(`${certificates}/backend.crt`, 'utf8'), 'certificates/ca.crt');
    const read = tlsReader({ ca_file, server_name: 'store.test' });
    const other = readFileSync(`${certificates}/ca.crt`, 'utf8');
    expect(read?.()).not.toEqual({ ca: other, servername: 'store.test' });
    write(other, 'certificates/ca.crt');
    expect(read?.()).toEqual({ ca: other, servername: 'store.test' });
    write('half of a cer', 'certificates/ca.crt');
    expect(read).toThrow(`${ca_file}: the file of authorities does not hold certificates in PEM`);
  });

  test('the words of a dsn and the settings of a database say the same things', () => {
    const file = resolve(import.meta.dirname, '../../../test/fixtures/config/good/databases-tls.yaml');
    const { databases } = loadConfig(file, {}).storage;
    const ca_file = `${certificates}/ca.crt`;
    const client = { cert_file: `${certificates}/client.crt`, key_file: `${certificates}/client.key` };
    expect(databases).toMatchObject([
      { schema: 'gateway', tls: { ca_file, verify: 'ca' } },
      { tls: { ca_file, ...client, verify: 'full' } },
      { tls: { ca_file, verify: 'ca' } },
      { tls: undefined },
    ]);
  });

  test.each([
    ['', undefined],
    ['sslmode=disable', undefined],
    ['sslmode=no-verify', 'none'],
    ['sslmode=require', 'full'],
    ['sslmode=verify-full', 'full'],
    ['sslmode=require&sslrootcert=system', 'full'],
  ])('"%s" in a dsn verifies %s', (words, verify) => {
    const dsn = `postgres://db/usage${words && '?'}${words}`;
    const [database] = load(`storage: { databases: [{ name: main, driver: postgres, dsn: '${dsn}' }] }`)
      .storage.databases;
    expect(database).toMatchObject({ dsn, tls: verify && { verify } });
  });

  test('the certificates of webhooks are looked for beside the config file', () => {
    const file = resolve(import.meta.dirname, '../../../test/fixtures/config/good/logins.yaml');
    const { auth, usage } = loadConfig(file, {});
    expect(auth.pipeline).toMatchObject([
      {
        webhook: { tls: { cert_file: `${certificates}/client.crt`, key_file: `${certificates}/client.key` } },
      },
    ]);
    expect(usage.reporters).toMatchObject([{ webhook: { tls: { ca_file: `${certificates}/ca.crt` } } }]);
  });
});
