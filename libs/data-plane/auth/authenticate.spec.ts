import { FakeClock } from '@llmproxy/time';
import { expect, test } from 'vitest';
import { createAuthenticate, openFailureThrottle, openKeyring, openPipeline } from './index.ts';
import type { KeyProvider, KeySource } from './index.ts';
import { inboundWith } from './testing/inbound.ts';

const secret = 'sk-test-0123456789';
const headerNames = ['Authorization', 'X-API-Key', 'api-key', 'X-Goog-Api-Key'];
const listed: KeyProvider = { name: 'keys', source: openKeyring([{ key: secret, name: 'ci' }], 0) };

function open(options: { providers?: KeyProvider[]; skipPaths?: string[]; allowUnknown?: boolean } = {}) {
  const clock = new FakeClock();
  const throttle = openFailureThrottle({ failuresMax: 3, windowMs: 60_000, blockMs: 60_000, clock });
  const overrides = options.allowUnknown ? { not_found: { allow: true } } : {};
  const pipeline = openPipeline({
    mode: 'first_match',
    providers: options.providers ?? [listed],
    clock,
    overrides,
  });
  const { skipPaths = [] } = options;
  const clientIp = ({ peerAddress }: { peerAddress: string }) => peerAddress;
  const authenticate = createAuthenticate({ headerNames, skipPaths, pipeline, clientIp, throttle });
  const attempt = async (...of: Parameters<typeof inboundWith>) => authenticate(inboundWith(...of));
  return { authenticate, attempt, clock };
}

test.each([
  [{ Authorization: `Bearer ${secret}` }],
  [{ authorization: `bearer ${secret}` }],
  [{ 'X-API-KEY': secret }],
  [{ 'x-api-key': secret }],
  [{ 'Api-Key': secret }],
  [{ 'x-goog-api-key': secret }],
])('a key comes in %j', async (headers: Record<string, string>) => {
  expect(await open().attempt(headers)).toMatchObject({ name: 'ci', ip: '203.0.113.7' });
});

test('listed keys are checked without a promise', () => {
  expect(open().authenticate(inboundWith({ 'x-api-key': secret }))).toMatchObject({ name: 'ci' });
});

test('without a key the client is told where to put one', async () => {
  await expect(open().attempt()).rejects.toMatchObject({
    code: 'invalid_api_key',
    message:
      'No API key was sent. Send it as "Authorization: Bearer <key>" or in x-api-key, api-key, x-goog-api-key.',
  });
});

test('where unknown keys are let in, so is who has none', async () => {
  expect(await open({ allowUnknown: true }).attempt()).toMatchObject({ keyId: null, ip: '203.0.113.7' });
});

test('skipped paths need no key, and nobody is counted as guessing there', async () => {
  const { attempt } = open({ skipPaths: ['/v1/models'] });
  for (let i = 0; i < 5; i++) {
    expect(await attempt({}, { target: '/v1/models?limit=1' })).toMatchObject({
      keyId: null,
      ip: '203.0.113.7',
    });
  }
  await expect(attempt({}, { target: '/v1/chat/completions?x=/v1/models' })).rejects.toMatchObject({
    code: 'invalid_api_key',
  });
});

test('who fails too often is refused before any provider is asked, even with a key that is right', async () => {
  let questions = 0;
  const source: KeySource = {
    lookup: () => {
      questions++;
      return Promise.resolve(undefined);
    },
  };
  const cache = { ttlMs: 1000, negativeTtlMs: 0, entriesMax: 10 };
  const asked: KeyProvider = { name: 'asked', source, onError: 'skip', timeoutMs: 1000, cache };
  const { attempt, clock } = open({ providers: [asked, listed] });
  for (const guess of ['sk-guess-1', 'sk-guess-2', 'sk-guess-3']) {
    await expect(attempt({ 'x-api-key': guess })).rejects.toMatchObject({ code: 'invalid_api_key' });
  }
  clock.advance(500);
  await expect(attempt({ 'x-api-key': secret })).rejects.toMatchObject({
    code: 'rate_limit_exceeded',
    headers: { 'retry-after': '60', 'retry-after-ms': '59500' },
  });
  expect(questions).toBe(3);
  expect(await attempt({ 'x-api-key': secret }, { peerAddress: '203.0.113.8' })).toMatchObject({
    name: 'ci',
  });
  clock.advance(59_500);
  expect(await attempt({ 'x-api-key': secret })).toMatchObject({ name: 'ci' });
});

test('missing keys count as failures, refused ones do not', async () => {
  const refused: KeyProvider = { name: 'keys', source: openKeyring([{ key: secret, status: 1 }], 0) };
  const { attempt } = open({ providers: [refused] });
  const codes = [];
  for (let i = 0; i < 5; i++) codes.push(await codeOf(attempt({ 'x-api-key': secret })));
  for (let i = 0; i < 4; i++) codes.push(await codeOf(attempt()));
  expect(codes).toEqual([
    ...Array<string>(5).fill('key_not_active'),
    ...Array<string>(3).fill('invalid_api_key'),
    'rate_limit_exceeded',
  ]);
});

const codeOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'let in',
    (error: { code: string }) => error.code,
  );
