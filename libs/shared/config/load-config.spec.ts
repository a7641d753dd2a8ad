import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { checkConfig, ConfigError, loadConfig } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'llmproxy-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function write(text: string, name = `${++files}/config.yaml`): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}
const load = (text: string, env = {}) => loadConfig(write(text), env);
const oneBackend = 'backends: [{ url: "http://localhost:1" }]\n';

test('a file with one backend has every documented default', () => {
  const config = load('backends: [{ url: "http://localhost:11434" }]');
  expect(config.server).toEqual({
    listen: ':8000',
    workers: availableParallelism(),
    read_timeout: 30_000,
    idle_timeout: 120_000,
    max_header_bytes: 65_536,
    max_body_size: 10_485_760,
    trusted_proxies: [],
    drain_timeout: 30_000,
  });
  expect(config.backends).toEqual([
    {
      name: 'localhost:11434',
      url: 'http://localhost:11434',
      weight: 1,
      timeout: 600_000,
      connect_timeout: 5000,
      headers: {},
      include_usage: true,
      credential: undefined,
      limits: {},
    },
  ]);
  expect(config.auth).toMatchObject({ enabled: false, pipeline: [] });
  expect(config.health_check).toMatchObject({ enabled: false, interval: 30_000, jitter: 0.1 });
  expect(config.usage).toEqual({ enabled: false, include_request_body: false, reporters: [] });
  expect(config.logging.access).toMatchObject({ enabled: true, format: 'json', output: 'stdout' });
  expect(config.metrics).toMatchObject({ enabled: true, path: '/metrics' });
  expect(config.redis).toEqual({ url: undefined, cluster: false, allow_eviction: false });
  expect(config.data_dir).toBe(resolve('data'));
});

test('a block is on as soon as it is written down', () => {
  const config = load(`${oneBackend}
health_check: {}
auth: {}
api_keys: [{ key: sk-12345678 }]
usage: { reporters: [{ name: w, type: webhook, webhook: { url: http://localhost:2 } }] }`);
  expect([config.health_check.enabled, config.auth.enabled, config.usage.enabled]).toEqual([
    true,
    true,
    true,
  ]);
});

test('a loaded config cannot be changed, at any depth', () => {
  const config = load(oneBackend);
  const frozenAll = (value: unknown): boolean =>
    typeof value !== 'object' ||
    value === null ||
    (Object.isFrozen(value) && Object.values(value).every(frozenAll));
  expect(frozenAll(config)).toBe(true);
});

describe('backends', () => {
  test.each([
    ['http://h:1', 'http://h:1'],
    ['http://h:1/', 'http://h:1'],
    ['http://h:1/v1', 'http://h:1'],
    ['http://h:1/v1/', 'http://h:1'],
    ['https://h/openai/v1', 'https://h/openai'],
    ['https://h/api//', 'https://h/api'],
    ['https://h/v10', 'https://h/v10'],
    ['HTTPS://Host/v1', 'https://host'],
  ])('the base URL %s is kept as %s, because requests bring their /v1 path', (url, base) => {
    expect(load(`backends: [{ url: '${url}' }]`).backends[0]?.url).toBe(base);
  });

  test.each([
    ['https://api.openai.com/v1', 'api.openai.com:443'],
    ['http://h', 'h:80'],
    ['http://[::1]:8001', '[::1]:8001'],
  ])('%s without a name is called %s', (url, name) => {
    expect(load(`backends: [{ url: '${url}' }]`).backends[0]?.name).toBe(name);
  });

  test.each([
    ['api_key: secret', { header: 'Authorization', value: 'Bearer secret' }],
    ['auth: { type: bearer, value: secret }', { header: 'Authorization', value: 'Bearer secret' }],
    ['auth: { type: header, header: x-api-key, value: secret }', { header: 'x-api-key', value: 'secret' }],
  ])('%s becomes the header that is sent', (line, credential) => {
    const text = `backends:\n  - url: http://h\n    ${line}\n`;
    expect(load(text).backends[0]).toMatchObject({ credential });
    expect(load(text).backends[0]).not.toHaveProperty('api_key');
  });
});

describe('keys', () => {
  const keysOf = (keys: string) => {
    const [provider] = load(`${oneBackend}auth: {}\napi_keys: ${keys}`).auth.pipeline;
    return provider?.type === 'file' ? provider.keys : undefined;
  };

  test('headers a key may come in are matched in any case', () => {
    const { header_names } = load(`${oneBackend}auth: { enabled: false, header_names: [X-Team-Key] }`).auth;
    expect(header_names).toEqual(['x-team-key']);
    expect(load(oneBackend).auth.header_names).toEqual([
      'authorization',
      'x-api-key',
      'api-key',
      'x-goog-api-key',
    ]);
  });

  test('api_keys without a pipeline are one provider', () => {
    const { pipeline } = load(`${oneBackend}auth: {}\napi_keys: [{ key: sk-12345678 }]`).auth;
    expect(pipeline).toEqual([
      {
        name: 'api_keys',
        type: 'file',
        keys: [
          {
            key: 'sk-12345678',
            name: null,
            user_id: null,
            status: 'active',
            starts_at: null,
            expires_at: null,
            denied_ips: [],
            allowed_ips: [],
            allowed_models: [],
            total_quota: null,
            used_quota: 0,
            quota_reset_period: 'never',
            last_reset_at: null,
            balance: null,
            limits: {},
          },
        ],
        hook: undefined,
      },
    ]);
  });

  test.each([
    ['enabled', 'active'],
    ['0', 'active'],
    ['1', 'disabled'],
    ['2', 'quota_exceeded'],
    ['3', 'expired'],
  ])('status %s is %s', (written, status) => {
    expect(keysOf(`[{ key: sk-12345678, status: ${written} }]`)).toMatchObject([{ status }]);
  });

  test.each([
    ['2027-01-31T00:00:00Z', 1_801_353_600_000],
    ['2027-01-31T02:00:00+02:00', 1_801_353_600_000],
    ['1801353600', 1_801_353_600_000],
    ['null', null],
  ])('a key that expires at %s expires at %s', (written, expires_at) => {
    expect(keysOf(`[{ key: sk-12345678, expires_at: ${written} }]`)).toMatchObject([{ expires_at }]);
  });

  test('a file of keys is found beside the config, and its mistakes are placed in it', () => {
    const config = write(
      `${oneBackend}auth: { pipeline: [{ name: f, type: file, file: { path: keys.yaml } }] }`,
      'team/config.yaml',
    );
    write('keys:\n  - key: sk-12345678\n    user_id: alice\n', 'team/keys.yaml');
    expect(loadConfig(config, {}).auth.pipeline).toMatchObject([{ name: 'f', keys: [{ user_id: 'alice' }] }]);
    write('keys:\n  - key: sk-12345678\n    user: alice\n    totl_quota: 5\n', 'team/keys.yaml');
    expect(checkConfig(config, {}).text.split('\n')).toEqual([
      expect.stringMatching(
        /team\/keys\.yaml:3:5 {2}keys\[0\]\.user: unknown key; did you mean keys\[0\]\.user_id\?$/,
      ),
      expect.stringMatching(/team\/keys\.yaml:4:5 {2}keys\[0\]\.totl_quota: unknown key; did you mean/),
      expect.stringMatching(/2 problems; a check after the repair may find more$/),
    ]);
  });

  test('a key in two providers is told with both places', () => {
    const config = write(
      `${oneBackend}auth:
  pipeline:
    - { name: s, type: static, static: { keys: [{ key: sk-12345678 }] } }
    - { name: f, type: file, file: { path: keys.yaml } }`,
      'twice/config.yaml',
    );
    write('keys: [{ key: sk-12345678 }]', 'twice/keys.yaml');
    expect(checkConfig(config, {}).text).toMatch(
      /twice\/keys\.yaml:1:15 {2}keys\[0\]\.key: the same key stands at .*twice\/config\.yaml:4:56 {2}auth\.pipeline\[0\]\.static\.keys\[0\]\.key\n/,
    );
  });

  test('keys of a provider that is not enabled are not let in', () => {
    const { pipeline } = load(`${oneBackend}auth:
  pipeline:
    - { name: a, type: static, static: { keys: [{ key: sk-12345678 }] } }
    - { name: b, type: static, enabled: false, static: { keys: [{ key: sk-87654321 }] } }`).auth;
    expect(pipeline.map(({ name }) => name)).toEqual(['a']);
  });
});

describe('reporters and databases', () => {
  test('only what is enabled is there after loading', () => {
    const config = load(`${oneBackend}
usage:
  reporters:
    - { name: w, type: webhook, webhook: { url: http://localhost:2 } }
    - { name: d, type: database, enabled: false, database: { storage: main } }
storage: { databases: [{ name: main, driver: sqlite, enabled: false }] }`);
    expect(config.usage.reporters).toEqual([
      {
        name: 'w',
        type: 'webhook',
        webhook: { url: 'http://localhost:2', method: 'POST', timeout: 3000, retry: 8, headers: {} },
      },
    ]);
    expect(config.storage.databases).toEqual([]);
  });

  test('a database file is relative to the config, the default one is in data_dir', () => {
    const path = write(
      `${oneBackend}data_dir: state
storage: { databases: [{ name: a, driver: sqlite, path: db/a.db }, { name: b, driver: sqlite }] }`,
    );
    expect(loadConfig(path, {}).storage.databases).toEqual([
      { name: 'a', driver: 'sqlite', path: join(dirname(path), 'db/a.db') },
      { name: 'b', driver: 'sqlite', path: resolve('state/llmproxy.db') },
    ]);
  });

  test.each([
    ['driver: postgres, host: db, database: llm', 'postgres://db:5432/llm'],
    ['driver: mysql, host: db, port: 3307, user: u, database: llm', 'mysql://u@db:3307/llm'],
    [
      "driver: mysql, host: '::1', user: u, password: 'p@s/s:', database: llm",
      'mysql://u:p%40s%2Fs%3A@[::1]:3306/llm',
    ],
    ["driver: postgres, dsn: 'postgres://u:p@h/llm?sslmode=require'", 'postgres://u:p@h/llm?sslmode=require'],
  ])('%s is reached at %s', (parts, dsn) => {
    const { databases } = load(`${oneBackend}storage: { databases: [{ name: a, ${parts} }] }`).storage;
    expect(databases).toMatchObject([{ name: 'a', dsn, max_open_conns: 10 }]);
  });

  test('a password without a user is refused, for it would not be sent', () => {
    const text = `${oneBackend}storage: { databases: [{ name: a, driver: mysql, host: h, database: d, password: x }] }`;
    expect(() => load(text)).toThrow('storage.databases[0].user: is required with a password');
  });
});

test('switching request logs off switches the access log off', () => {
  const { access } = load(`${oneBackend}logging: { enabled: false, access: { enabled: true } }`).logging;
  expect(access.enabled).toBe(false);
});

test('the deprecated listen is heeded, and check says what to write', () => {
  const path = write(`listen: ':9'\n${oneBackend}`);
  expect(loadConfig(path, {}).server.listen).toBe(':9');
  expect(checkConfig(path, {})).toEqual({
    ok: true,
    text: `${path}: ok (1 backend, auth off, 0 reporters)\n${path}:1:1  listen: deprecated, write server.listen`,
  });
});

describe('redis', () => {
  const env = { LLMPROXY_REDIS_URL: 'unix:///run/redis.sock' };
  test('the environment names the server when the file does not', () => {
    expect(load(oneBackend, env).redis.url).toBe('unix:///run/redis.sock');
    expect(load(`${oneBackend}redis: { url: 'redis://:pw@r:6379/1' }`, env).redis.url).toBe(
      'redis://:pw@r:6379/1',
    );
  });
  test('a bad address in the environment is told without repeating it', () => {
    expect(() => load(oneBackend, { LLMPROXY_REDIS_URL: 'canary:6379' })).toThrow(
      'environment  LLMPROXY_REDIS_URL: expected redis://host:6379',
    );
    expect(() => load(oneBackend, { LLMPROXY_REDIS_URL: 'canary:6379' })).not.toThrow('canary');
  });
});

test.each([
  ['1024', 1024],
  ['512KB', 524_288],
  ['10MB', 10_485_760],
  ['10 MiB', 10_485_760],
  ['1gb', 1_073_741_824],
])('a size of %s is %d bytes', (written, bytes) => {
  expect(load(`${oneBackend}server: { max_body_size: ${written} }`).server.max_body_size).toBe(bytes);
});

describe('what is no config', () => {
  const textFor = (path: string): string => checkConfig(path, {}).text.split('\n')[0] ?? '';
  test('a missing file is told', () => {
    expect(textFor('nowhere.yaml')).toBe('nowhere.yaml  the config file does not exist');
  });
  test('a directory is told', () => {
    expect(textFor(folder)).toBe(`${folder}  the config file is a directory`);
  });
  test('a file that is no text is told', () => {
    const path = join(folder, 'binary.yaml');
    writeFileSync(path, Buffer.from([0xff, 0xfe, 0x00, 0x80]));
    expect(textFor(path)).toBe(`${path}  the config file is not UTF-8 text`);
  });
  test('a file of comments only is told to be empty', () => {
    const path = write('# nothing yet\n');
    expect(textFor(path)).toBe(`${path}:1:1  the file is empty; the least it needs is backends`);
  });
});

test('all problems come in one error, in the order of the file', () => {
  const path = write('server: { worker: 2 }\nbackends: [{ url: x }]\nusage: {}\n');
  expect(() => loadConfig(path, {})).toThrow(ConfigError);
  expect(checkConfig(path, {})).toEqual({
    ok: false,
    text: [
      `${path}:1:11  server.worker: unknown key; did you mean server.workers?`,
      `${path}:2:19  backends[0].url: expected a URL that starts with http:// or https://`,
      `${path}:3:1  usage.reporters: usage is on, but nothing receives its events: add a reporter, or set usage.enabled to false`,
      `${path}: 3 problems; a check after the repair may find more`,
    ].join('\n'),
  });
});

test('a hook that does not read as it should is told at the place where it stands, or is named', () => {
  const hookProblem = (source: string) =>
    source.includes('then end end') ? 'line:1: too many ends' : undefined;
  const dir = dirname(write('if true then end end', 'hooked/bad.lua'));
  const path = join(dir, 'config.yaml');
  const provider = (more: string) => `${oneBackend}auth: { pipeline: [{ name: h, type: lua, ${more} }] }\n`;
  const checked = (more: string) => {
    writeFileSync(path, provider(more));
    return checkConfig(path, {}, { hookProblem }).text;
  };
  expect(checked('lua: { script: return true }')).toContain('ok (1 backend');
  expect(checked('lua: { script: if true then end end }')).toContain(
    'auth.pipeline[0].lua.script: is not Lua: line:1: too many ends',
  );
  expect(checked('lua: { path: bad.lua }')).toContain('auth.pipeline[0].lua.path: is not Lua: line:1');
});
