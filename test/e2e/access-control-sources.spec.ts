/**
 * What is said of a key means the same whichever source says it. The number in front of each guarantee is that of the
 * list of access-control guarantees; all `access-control-*.spec.ts` together hold every one of them.
 */
import { startFakeBackend } from '@llmproxy/fake-backend';
import { redisForTests } from '@llmproxy/real-services';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bearer, outcomeOf } from './harness/authenticated.ts';
import { startGateway, startKeyLookup, type Gateway } from './harness/gateway.ts';
import {
  openKeySources,
  secretOf,
  sourceNames,
  uncheckedSources,
  type KeyFields,
} from './harness/key-sources.ts';
import { tempFolder } from './harness/temp-folder.ts';

const all: Record<string, KeyFields> = {
  active: { status: 'active' },
  disabled: { status: 'disabled' },
  'marked expired': { status: 'expired' },
  'marked used up': { status: 'quota_exceeded' },
  'of the year 2999': { starts_at: '2999-01-01T00:00:00Z' },
  'of a year gone by': { starts_at: '2001-01-01T00:00:00Z' },
  'past its end': { expires_at: '2001-01-31T12:00:00Z' },
  'before its end': { expires_at: '2999-01-31T12:00:00Z' },
  'for elsewhere': { allowed_ips: ['192.0.2.0/24', '2001:db8::/32'] },
  'for here': { allowed_ips: ['192.0.2.0/24', '127.0.0.0/8'] },
  'not for here': { denied_ips: ['127.0.0.1'] },
  'used up': { total_quota: 100, used_quota: 100 },
  'not used up': { total_quota: 100_000, used_quota: 99 },
  'without balance': { balance: 0 },
  'for other models': { allowed_models: ['gpt-*', 'n'] },
};
const odd: Record<string, KeyFields> = {
  'disabled by number': { status: '1' },
  'active by number': { status: '0' },
  'disabled loudly': { status: 'DISABLED' },
  'of a status unknown': { status: 'suspended' },
};

const resources = new AsyncDisposableStack();
let gateway: Gateway;

beforeAll(async () => {
  const folder = resources.use(tempFolder()).path;
  const redis = resources.use(await redisForTests());
  const backend = resources.use(await startFakeBackend());
  const sources = resources.use(await openKeySources({ all, odd }, { folder, redisUrl: redis.url }));
  gateway = resources.use(
    await startGateway({
      folder,
      redisUrl: redis.url,
      backends: [{ name: 'fake', url: backend.url }],
      config: sources.config,
    }),
  );
  resources.use(await startKeyLookup(folder));
});
afterAll(() => resources.disposeAsync());

const become = (source: (typeof sourceNames)[number], kind: string): Promise<string> =>
  outcomeOf(gateway.address, bearer(secretOf(source, kind)));

/** The hook that is a list of keys looks at the status alone. */
const evaluated = sourceNames.filter((source) => source !== 'lua');

describe('1 · a key that is not active', () => {
  test.each(sourceNames)('a disabled key of source %s is refused, an active one let in', async (source) => {
    expect(await become(source, 'active')).toBe('200');
    expect(await become(source, 'disabled')).toMatch(
      source === 'lua' ? /^403 access_denied$/ : /^403 key_not_active$/,
    );
  });

  test.each(evaluated)('a key of source %s that is marked expired or used up is refused', async (source) => {
    expect(await become(source, 'marked expired')).toBe('403 key_not_active');
    expect(await become(source, 'marked used up')).toBe('429 insufficient_quota');
  });

  test.each(uncheckedSources)('a status of source %s may be a number or in capitals', async (source) => {
    expect(await become(source, 'active by number')).toBe('200');
    expect(await become(source, 'disabled by number')).toBe('403 key_not_active');
    expect(await become(source, 'disabled loudly')).toBe('403 key_not_active');
  });

  test.each(uncheckedSources)('a status of source %s that nobody knows keeps the key out', async (source) => {
    expect(await become(source, 'of a status unknown')).toBe('403 key_not_active');
  });
});

describe('2 · the header of a key', () => {
  test.each(sourceNames)('a key of source %s is known in each header, in any case', async (source) => {
    const key = secretOf(source, 'active');
    const spellings = {
      Authorization: `Bearer ${key}`,
      AUTHORIZATION: `bearer ${key}`,
      'X-API-Key': key,
      'X-Api-Key': key,
      'x-api-key': key,
      'Api-Key': key,
      'X-Goog-Api-Key': key,
    };
    const outcomes = Object.entries(spellings).map(([name, value]) =>
      outcomeOf(gateway.address, { [name]: value }),
    );
    expect(await Promise.all(outcomes)).toEqual(outcomes.map(() => '200'));
  });

  test.each(['X-API-Key', 'x-api-key'])('a disabled key is refused in %s as well', async (name) => {
    expect(await outcomeOf(gateway.address, { [name]: secretOf('static', 'disabled') })).toBe(
      '403 key_not_active',
    );
  });
});

describe('3 · keys in Redis and in SQL', () => {
  test('a gateway starts with every kind of source, and each knows its keys', async () => {
    for (const source of sourceNames)
      expect([source, await become(source, 'active')]).toEqual([source, '200']);
  });
});

describe('4 · keys in a file', () => {
  test.each(['file', 'api_keys'] as const)('the keys of %s are let in, others are not', async (source) => {
    expect(await become(source, 'active')).toBe('200');
    expect(await become(source, 'of nobody')).toMatch(/^40[13] /);
  });
});

describe('5 · what a key may', () => {
  test.each(evaluated)('a key of source %s is let in from its addresses only', async (source) => {
    expect(await become(source, 'for here')).toBe('200');
    expect(await become(source, 'for elsewhere')).toBe('403 ip_not_allowed');
    expect(await become(source, 'not for here')).toBe('403 ip_not_allowed');
  });

  test.each(evaluated)('a key of source %s that starts in 2999 is refused until then', async (source) => {
    expect(await become(source, 'of a year gone by')).toBe('200');
    expect(await become(source, 'of the year 2999')).toBe('403 key_not_active');
  });

  test.each(evaluated)('a key of source %s without quota or balance is refused', async (source) => {
    expect(await become(source, 'not used up')).toBe('200');
    expect(await become(source, 'used up')).toBe('429 insufficient_quota');
    expect(await become(source, 'without balance')).toBe('429 insufficient_quota');
  });

  test.each(evaluated)('a key of source %s may use its models only', async (source) => {
    expect(await become(source, 'for other models')).toBe('403 model_not_allowed');
  });
});

describe('10 · the end of a key', () => {
  test.each(evaluated)('a key of source %s ends when its date says so', async (source) => {
    expect(await become(source, 'before its end')).toBe('200');
    expect(await become(source, 'past its end')).toBe('403 key_not_active');
  });
});

describe('21 · text from outside in SQL', () => {
  test.each([
    ['of 30,000 characters', 'x'.repeat(30_000)],
    ['of 300 characters', 'x'.repeat(300)],
    ['in Latin-1', 'sk-\xe9\xff\xfe'],
    ['with a tab', 'sk-\tsk'],
    ['like a prototype', '__proto__'],
    ['like a property', 'constructor'],
    ['like a placeholder', '{api_key_sha256}'],
    ['like a pattern', 'sk-%'],
  ])('a key %s is a key that nobody knows', async (_, key) => {
    expect(await outcomeOf(gateway.address, { 'x-api-key': key })).toBe('403 access_denied');
  });

  test.each([`' or '1'='1`, `" or ""="`, 'x` or 1=1 -- ', `'; drop table "order"; --`])(
    'the key %s is a key that nobody knows',
    async (key) => {
      expect(await outcomeOf(gateway.address, { 'x-api-key': key })).toBe('403 access_denied');
      expect(await become('sqlite', 'active')).toBe('200');
      expect(await become('mariadb', 'active')).toBe('200');
      expect(await become('postgres', 'active')).toBe('200');
    },
  );
});

// The last one: the log is complete only when the gateway has ended.
describe('3 · sources', () => {
  test('none of them failed, whatever was presented above', async () => {
    gateway.kill('SIGTERM');
    expect((await gateway.exited).code).toBe(0);
    expect(gateway.output.stdout).toContain('"msg":"request"');
    expect(gateway.output.stdout.match(/.*source_failed.*/g)).toBeNull();
  });
});
