import { play, startFakeBackend, type FakeBackend } from '@llmproxy/fake-backend';
import { Agent } from 'undici';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { probeBackend, type ProbeRequest } from './index.ts';

let backend: FakeBackend;
const dispatcher = new Agent();
const never = new AbortController().signal;
beforeEach(async () => {
  backend = await startFakeBackend();
});
afterEach(() => backend.close());
afterAll(() => dispatcher.destroy());

const healthRequest: ProbeRequest = {
  method: 'GET',
  path: '/health',
  expectedStatus: 200,
  timeoutMs: 10_000,
};
const probe = (over: Partial<ProbeRequest> = {}, headers: Record<string, string> = {}, signal = never) =>
  probeBackend(
    { name: 'a', url: backend.url, headers },
    { ...healthRequest, ...over },
    { dispatcher, signal },
  );

test('a backend that answers as expected is well, and was asked as configured, with its credential', async () => {
  backend.on('/api/tags', play.bytes('', 'text/plain', { status: 204 }));
  const headers = { authorization: 'Bearer sk-backend', 'x-team': 'a' };
  const result = await probe({ method: 'POST', path: '/api/tags', expectedStatus: 204 }, headers);
  expect(result).toEqual({ latencyMs: expect.any(Number) as number, error: null });
  expect(backend.requests[0]).toMatchObject({ method: 'POST', target: '/api/tags' });
  expect(backend.requests[0]?.header('authorization')).toBe('Bearer sk-backend');
  expect(backend.requests[0]?.header('x-team')).toBe('a');
});

test.each([
  [503, 'answered 503 instead of 200'],
  [204, 'answered 204 instead of 200'],
  [302, 'answered 302 instead of 200'],
])('any other status than the expected one, here %d, is a failure that says so', async (status, error) => {
  backend.on('/health', play.bytes('', 'text/plain', { status, headers: ['location', '/v1/models'] }));
  expect(await probe()).toEqual({ latencyMs: expect.any(Number) as number, error });
  expect(backend.requests).toHaveLength(1);
});

test('a backend that accepts and says nothing fails after the timeout', async () => {
  backend.on('/health', play.hang());
  expect(await probe({ timeoutMs: 20 })).toEqual({ latencyMs: null, error: 'no answer within 20 ms' });
  await backend.requests[0]?.aborted;
});

test('a backend that is not there, resets, or speaks no HTTP fails with the reason', async () => {
  backend.enqueue(play.reset(), play.raw(['SSH-2.0-OpenSSH\r\n\r\n']));
  expect((await probe()).error).toMatch(/ECONNRESET|other side closed/);
  expect((await probe()).error).toMatch(/HTTP|Parse/i);
  await backend.close();
  expect((await probe()).error).toMatch(/ECONNREFUSED/);
});

test('a body is not waited for: the head decides', async () => {
  backend.on('/health', play.stream(['data: 1\n\n'], { ending: 'hang' }));
  expect((await probe()).error).toBeNull();
  backend.on('/health', play.huge(50_000_000));
  expect((await probe()).error).toBeNull();
  await backend.requests[1]?.aborted; // it was not read to its end
});

test('a probe that is given up has no result', async () => {
  backend.on('/health', play.hang());
  const giveUp = new AbortController();
  const given = probe({}, {}, giveUp.signal);
  await backend.arrived(1);
  giveUp.abort();
  await expect(given).rejects.toThrow();
});

test('no header appears in the reason of a failure', async () => {
  const { error } = await probe({}, { authorization: 'Bearer sk-\ncanary' });
  expect(error).not.toBeNull();
  expect(error).not.toContain('canary');
});
