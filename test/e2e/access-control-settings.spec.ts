/** No setting pretends: what this version cannot honour, or must not, is refused by name before anything starts. */
import { describe, expect, test } from 'vitest';
import { redisContents } from './harness/contents.ts';
import { bearer, chat, chatPath, outcomeOf, startGuarded } from './harness/authenticated.ts';
import type { Setup } from './harness/gateway.ts';
import { fetchText } from './harness/http-client.ts';
import { llmproxy, refusalsOf } from './harness/refused-config.ts';
import { tempFolder } from './harness/temp-folder.ts';

const backend = { name: 'fake', url: 'http://127.0.0.1:9' };

/** The gateway and `check` both name the settings, and neither starts anything. */
async function expectRefused(
  settings: readonly string[],
  config: NonNullable<Setup['config']>,
  backends: Setup['backends'] = [backend],
): Promise<void> {
  await using folder = tempFolder();
  const { gateway, check } = await refusalsOf({
    folder: folder.path,
    redisUrl: 'redis://127.0.0.1:1',
    backends,
    config,
  });
  expect([gateway.exit.code, check.exit.code]).toEqual([78, 1]);
  for (const { stderr } of [gateway, check]) {
    for (const setting of settings) expect(stderr).toContain(`  ${setting}: `);
  }
  expect(gateway.stderr + check.stderr).not.toContain('canary');
}

describe('15 · administration', () => {
  test('an Admin API that is not there is not promised', async () => {
    await expectRefused(['admin'], {
      admin: { enabled: true, listen: '127.0.0.1:0', token: 'canary-token' },
    });
  });

  test('there is none on the listener of clients', async () => {
    await using guarded = await startGuarded({});
    for (const path of ['/admin/keys/sync', '/admin/keys/list', '/admin/v1/keys', '/admin']) {
      const headers = { 'x-admin-token': '', authorization: 'Bearer ' };
      const { status } = await fetchText(guarded.gateway.address, path, {
        method: 'POST',
        body: '{}',
        headers,
      });
      expect([path, status]).toEqual([path, 404]);
    }
  });

  test('a key is shown once, when it is made, and kept, listed and logged nowhere', async () => {
    await using guarded = await startGuarded({ auth: { pipeline: [{ name: 'store', type: 'builtin' }] } });
    const key = await llmproxy(guarded.folder, 'keys', 'add', '--name', 'ci');
    expect(key).toMatch(/^sk-llmproxy-\w{32}$/);
    expect(await outcomeOf(guarded.gateway.address, bearer(key))).toBe('200');
    const list = await llmproxy(guarded.folder, 'keys', 'list');
    const json = await llmproxy(guarded.folder, 'keys', 'list', '--json');
    const stored = await redisContents(guarded.redisUrl);
    expect(list).toContain('ci');
    expect(stored).toContain('"name');
    for (const place of [list, json, stored, guarded.gateway.output.stdout]) expect(place).not.toContain(key);
  });
});

describe('16 · credentials where metrics and logs would show them', () => {
  test('a backend with a password in its URL is refused', async () => {
    await expectRefused(['backends[0].url'], {}, [{ name: 'fake', url: 'http://user:canary@127.0.0.1:9' }]);
  });
});

describe('17 · client certificates', () => {
  const files = { cert_file: 'cert.pem', key_file: 'key.pem' };

  test.each([
    ['TLS', { enabled: true, ...files }],
    [
      'TLS with client certificates',
      { enabled: true, ...files, client_ca_file: 'ca.pem', client_auth: 'require' },
    ],
    ['client certificates alone', { client_ca_file: 'ca.pem', client_auth: 'require' }],
  ])('%s: nobody believes that it is on', async (_, tls) => {
    await expectRefused(['server.tls'], { server: { tls } });
  });
});

describe('18 · other origins', () => {
  test('a list of origins that is not heeded is refused', async () => {
    const cors = {
      enabled: true,
      allowed_origins: ['https://app.example.com', '*'],
      allow_credentials: true,
    };
    await expectRefused(['server.cors'], { server: { cors } });
  });

  test('no origin is ever told that it may read an answer', async () => {
    await using guarded = await startGuarded({});
    const { address } = guarded.gateway;
    const origin = { origin: 'https://evil.example.com' };
    const preflight = {
      ...origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization',
    };
    const answers = [
      await fetchText(address, chatPath, { method: 'OPTIONS', headers: preflight }),
      await fetchText(address, chatPath, { body: chat, headers: origin }),
      await fetchText(address, chatPath, {
        body: chat,
        headers: { ...origin, ...bearer('sk-e2e-0123456789abcdefghij') },
      }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([405, 401, 200]);
    for (const { headers } of answers) {
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual([]);
    }
  });
});

describe('21 · names of tables and columns', () => {
  test('that are more than names are refused, each by its place', async () => {
    const overs: [string, object][] = [
      ['table', { table: 'keys; drop table keys' }],
      ['table', { table: 'keys" where 1=1 --' }],
      ['table', { table: 'keys` where 1=1 -- ' }],
      ['key_column', { key_column: "'' or key" }],
      ['fields[1]', { fields: ['status', '(select password from users)'] }],
    ];
    const database = { storage: 'main', table: 'keys', key_column: 'key' };
    const pipeline = overs.map(([, over], i) => ({
      name: `crm-${i}`,
      type: 'database',
      database: { ...database, ...over },
    }));
    const places = overs.map(([setting], i) => `auth.pipeline[${i}].database.${setting}`);
    const reporter = {
      name: 'sql',
      type: 'database',
      database: { storage: 'main', table: 'usage"; drop table x' },
    };
    await expectRefused([...places, 'usage.reporters[0].database.table'], {
      auth: { pipeline },
      usage: { reporters: [reporter] },
    });
  });
});
