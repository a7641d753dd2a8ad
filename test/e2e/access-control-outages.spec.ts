/** Who cannot be asked has not said yes: webhooks that answer nonsense, and sources that are away. */
import { play, startFakeBackend, type FakeBackend, type PlayFor } from '@llmproxy/fake-backend';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bearer, outcomeOf, startGuarded, type Guarded } from './harness/authenticated.ts';

const key = 'sk-e2e-known-to-someone';
const answers = (value: unknown, status = 200): PlayFor => play.json(value, { status });
const text = (body: string, status = 200): PlayFor => play.bytes(body, 'application/json', { status });

describe('6 · what a webhook must say', () => {
  const resources = new AsyncDisposableStack();
  let webhook: FakeBackend;
  let guarded: Guarded;
  beforeAll(async () => {
    webhook = resources.use(await startFakeBackend());
    guarded = resources.use(
      await startGuarded({
        auth: {
          failure_limit: { enabled: false },
          pipeline: [
            {
              name: 'service',
              type: 'webhook',
              webhook: { url: `${webhook.url}/keys` },
              timeout: '500ms',
              cache: { ttl: '0s', negative_ttl: '0s' },
            },
          ],
        },
      }),
    );
  });
  afterAll(() => resources.disposeAsync());

  test.each<[string, PlayFor]>([
    ['200 and status active', answers({ status: 'active' })],
    ['200 and status 0', answers({ status: 0 })],
    ['201 and allow true', answers({ allow: true }, 201)],
  ])('a key is let in by %s', async (_, reply) => {
    webhook.on('/keys', reply);
    expect(await outcomeOf(guarded.gateway.address, bearer(key))).toBe('200');
  });

  test.each<[string, PlayFor, string]>([
    ['401 and an error', answers({ error: 'no such key' }, 401), '401 invalid_api_key'],
    ['401, whatever the body says', answers({ status: 'active', allow: true }, 401), '401 invalid_api_key'],
    ['404, whatever the body says', answers({ status: 'active' }, 404), '401 invalid_api_key'],
    ['402, whatever the body says', answers({ status: 'active' }, 402), '429 insufficient_quota'],
    ['403, whatever the body says', answers({ status: 'active', allow: true }, 403), '403 access_denied'],
    ['500, whatever the body says', answers({ status: 'active' }, 500), '503 auth_unavailable'],
    ['429, whatever the body says', answers({ status: 'active' }, 429), '503 auth_unavailable'],
    [
      'a redirect',
      play.json({ status: 'active' }, { status: 302, headers: ['location', '/elsewhere'] }),
      '503 auth_unavailable',
    ],
    ['an error told with 200', answers({ error: 'no such key' }), '503 auth_unavailable'],
    ['an empty object', answers({}), '503 auth_unavailable'],
    ['a status of null', answers({ status: null, error: 'no such key' }), '503 auth_unavailable'],
    ['an empty status', answers({ status: '', error: 'no such key' }), '503 auth_unavailable'],
    ['null', text('null'), '503 auth_unavailable'],
    ['true', text('true'), '503 auth_unavailable'],
    ['a list', text('[{"status":"active"}]'), '503 auth_unavailable'],
    ['a text', text('"active"'), '503 auth_unavailable'],
    ['no JSON', text('<html>active</html>'), '503 auth_unavailable'],
    ['nothing', text(''), '503 auth_unavailable'],
    ['204', play.raw(['HTTP/1.1 204 No Content\r\n\r\n'], 'cut'), '503 auth_unavailable'],
    [
      'an object cut off',
      play.raw(['HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"status":"active"}']),
      '503 auth_unavailable',
    ],
    ['a connection reset', play.reset(), '503 auth_unavailable'],
    ['silence', play.hang(), '503 auth_unavailable'],
    ['allow false', answers({ status: 'active', allow: false }), '403 access_denied'],
    ['allow as a word', answers({ status: 'active', allow: 'perhaps' }), '403 access_denied'],
    ['allow null', answers({ allow: null }), '403 access_denied'],
    ['a disabled key', answers({ status: 'disabled' }), '403 key_not_active'],
    ['a status unknown', answers({ status: { active: true } }), '403 key_not_active'],
  ])('nobody is let in by %s', async (_, reply, outcome) => {
    webhook.on('/keys', reply);
    const servedBefore = guarded.backend.requests.length;
    expect(await outcomeOf(guarded.gateway.address, bearer(key))).toBe(outcome);
    expect(guarded.backend.requests).toHaveLength(servedBefore);
  });
});

describe('9 · sources that are away', () => {
  const known = { name: 'known', type: 'static', static: { keys: [{ key }] } };
  const away = {
    webhook: { name: 'balance', type: 'webhook', webhook: { url: 'http://127.0.0.1:1/balance' } },
    redis: {
      name: 'balance',
      type: 'redis',
      redis: { storage: 'gone', key_pattern: 'b:{api_key}' },
      timeout: '500ms',
    },
    database: {
      name: 'balance',
      type: 'database',
      database: { storage: 'crm', table: 'keys', key_column: 'key' },
    },
  };
  const storage = {
    databases: [{ name: 'crm', driver: 'sqlite', path: 'crm.db' }],
    caches: [{ name: 'gone', driver: 'redis', url: 'redis://127.0.0.1:1' }],
  };
  const become = async (auth: Record<string, unknown>): Promise<string> => {
    await using guarded = await startGuarded({ storage, auth });
    const outcome = await outcomeOf(guarded.gateway.address, bearer(key));
    expect(guarded.backend.requests).toHaveLength(outcome === '200' ? 1 : 0);
    return outcome;
  };

  test.each(Object.entries(away))(
    'where all must agree, a %s that is away lets nobody in',
    async (_, balance) => {
      expect(await become({ mode: 'all', pipeline: [known, balance] })).toBe('503 auth_unavailable');
    },
  );

  test('where all must agree, one that says no keeps the key out', async () => {
    const refusing = { name: 'no', type: 'lua', lua: { script: 'return false' } };
    expect(await become({ mode: 'all', pipeline: [known, refusing] })).toBe('403 access_denied');
  });

  test('where all must agree, one that is away is passed over only where the operator said so', async () => {
    const pipeline = [known, { ...away.webhook, on_error: 'skip' }];
    expect(await become({ mode: 'all', pipeline })).toBe('200');
  });

  test('where the first decides, a key that only the one that is away may know is not called unknown', async () => {
    const other = { name: 'other', type: 'static', static: { keys: [{ key: 'sk-e2e-somebody-else' }] } };
    expect(await become({ pipeline: [away.webhook, other] })).toBe('503 auth_unavailable');
    expect(await become({ pipeline: [away.webhook, known] })).toBe('200');
  });

  test('where the first decides and may not be passed over, nobody is let in while it is away', async () => {
    const pipeline = [{ ...away.webhook, on_error: 'deny' }, known];
    expect(await become({ pipeline })).toBe('503 auth_unavailable');
  });
});
