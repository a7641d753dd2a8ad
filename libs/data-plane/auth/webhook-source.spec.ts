import { startFakeBackend, createGate, play } from '@llmproxy/fake-backend';
import { FakeClock } from '@llmproxy/time';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { openPipeline, webhookSource, type Decide } from './index.ts';
import { inboundWith } from './testing/inbound.ts';

const secret = 'sk-test-0123456789';

async function open(decide?: Decide, timeoutMs = 5000) {
  const service = await startFakeBackend();
  const reasons: string[] = [];
  const source = webhookSource({
    url: `${service.url}/auth`,
    headers: { Authorization: 'Bearer webhook-credential' },
    judgedByHook: decide !== undefined,
  });
  const cache = { ttlMs: 0, negativeTtlMs: 0, entriesMax: 10 };
  const pipeline = openPipeline({
    mode: 'first_match',
    clock: new FakeClock(),
    providers: [{ name: 'webhook', source, decide, onError: 'deny', timeoutMs, cache }],
    onProblem: ({ reason }) => reasons.push(reason),
  });
  onTestFinished(async () => {
    await pipeline.close();
    await service.close();
  });
  const answers = (status: number, body: string) =>
    service.on('/auth', play.bytes(body, 'application/json', { status }));
  const check = async () =>
    pipeline.check(secret, '203.0.113.7', inboundWith({}, { target: '/v1/models?limit=1' }));
  return { service, answers, check, reasons };
}

test('the service is asked with the key and the request, and what it says of the key counts', async () => {
  const { service, answers, check } = await open();
  answers(
    200,
    JSON.stringify({ status: 'active', user_id: 7, name: 'ci', limits: { requests_per_minute: 60 } }),
  );
  expect(await check()).toMatchObject({
    userId: '7',
    name: 'ci',
    allowance: { rates: { requestsPerMinute: 60 } },
  });
  const [question] = service.requests;
  expect(question?.method).toBe('POST');
  expect(question?.header('authorization')).toBe('Bearer webhook-credential');
  expect(question?.json()).toEqual({
    api_key: secret,
    timestamp: expect.any(Number) as number,
    request: { method: 'POST', path: '/v1/models', ip: '203.0.113.7' },
  });
});

test.each([
  [200, { status: 'active' }, 'let in'],
  [201, { allow: true }, 'let in'],
  [200, { status: 'disabled' }, 'key_not_active'],
  [200, { status: 1 }, 'key_not_active'],
  [200, { allow: false }, 'access_denied'],
  [200, { allow: 'false' }, 'access_denied'],
  [200, { status: 'active', allow: null }, 'access_denied'],
  [200, { error: 'invalid key' }, 'auth_unavailable'],
  [200, { status: null, error: 'invalid key' }, 'auth_unavailable'],
  [200, { status: '' }, 'auth_unavailable'],
  [200, {}, 'auth_unavailable'],
  [200, null, 'auth_unavailable'],
  [200, [], 'auth_unavailable'],
  [200, 'active', 'auth_unavailable'],
  [401, { error: 'invalid key' }, 'invalid_api_key'],
  [401, { status: 'active' }, 'invalid_api_key'],
  [402, {}, 'insufficient_quota'],
  [403, { status: 'active' }, 'access_denied'],
  [404, {}, 'invalid_api_key'],
  [301, { status: 'active' }, 'auth_unavailable'],
  [429, { status: 'active' }, 'auth_unavailable'],
  [500, { status: 'active' }, 'auth_unavailable'],
])('%d with %j: %s', async (status, answer, outcome) => {
  const { answers, check } = await open();
  answers(status, JSON.stringify(answer));
  const came = await check().then(
    () => 'let in',
    (error: { code: string }) => error.code,
  );
  expect(came).toBe(outcome);
});

test('a refusal is told in the words of the service', async () => {
  const { answers, check } = await open();
  answers(403, '{"message": "your trial is over"}');
  await expect(check()).rejects.toMatchObject({ code: 'access_denied', message: 'your trial is over' });
});

test('no hook lets in what the service refused', async () => {
  const { answers, check } = await open(() => ({ allow: true }));
  answers(403, '{"status": "active"}');
  await expect(check()).rejects.toMatchObject({ code: 'access_denied' });
});

test('a hook judges answers of any shape', async () => {
  const { answers, check } = await open((data) => ({
    allow: data.code === 0,
    message: String(data.message),
    metadata: { user_id: data.uid },
  }));
  answers(200, '{"code": 0, "uid": "u1"}');
  expect(await check()).toMatchObject({ userId: 'u1' });
  answers(200, '{"code": 7, "message": "top up"}');
  await expect(check()).rejects.toMatchObject({ code: 'access_denied', message: 'top up' });
});

test.each([
  ['is no JSON', `{"status": "active", "key": "${secret}"`],
  ['is too long', `{"status": "active", "more": "${'x'.repeat(1024 * 1024)}"}`],
])('an answer that %s lets nobody in, and no log repeats it', async (_, body) => {
  const { answers, check, reasons } = await open();
  answers(200, body);
  await expect(check()).rejects.toMatchObject({ code: 'auth_unavailable' });
  expect(reasons).toHaveLength(1);
  expect(reasons[0]?.length).toBeLessThan(100);
  expect(reasons[0]).not.toContain(secret);
});

test('a service that does not answer in time, or at all, lets nobody in', async () => {
  const { service, check, reasons } = await open(undefined, 50);
  const gate = createGate();
  service.on('/auth', play.bytes('{"status": "active"}', 'application/json', { headAfter: gate }));
  await expect(check()).rejects.toMatchObject({ code: 'auth_unavailable' });
  expect(reasons).toEqual(['webhook: no answer within 50 ms']);
  gate.open();
  await service.close();
  await expect(check()).rejects.toMatchObject({ code: 'auth_unavailable' });
});

test('a service that knows us by our certificate is asked with it', async () => {
  const pem = (name: string) =>
    readFileSync(new URL(`../../../test/fixtures/tls/${name}`, import.meta.url), 'utf8');
  const own = { cert: pem('server.crt'), key: pem('server.key'), ca: pem('ca.crt'), requestCert: true };
  const server = createServer(own, (_, answer) => answer.end('{"status":"active","user_id":"7"}'));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const source = webhookSource({
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tls: () => ({ ca: pem('ca.crt'), cert: pem('client.crt'), key: pem('client.key') }),
    judgedByHook: false,
  });
  onTestFinished(async () => {
    await source.close();
    server.close();
  });
  const asked = { secret, secretHash: '', keyId: '', ip: '', method: 'GET', path: '/', rawHeaders: [] };
  expect(await source.lookup(asked, AbortSignal.timeout(5000))).toMatchObject({ user_id: '7' });
});
