import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { Client } from 'undici';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openKeyLookup, serveKeyLookups, type FoundKey, type ServeKeyLookups } from './index.ts';

type Find = ServeKeyLookups['find'];
const secret = 'sk-secret-0123456789';

function freshSocket(): string {
  const folder = mkdtempSync(join(tmpdir(), 'kl-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'key-lookup.sock');
}

async function serve(socketPath: string, find: Find) {
  const server = await serveKeyLookups({ socketPath, providers: new Set(['customers']), find });
  onTestFinished(() => server.close(0));
  return server;
}

function open(socketPath: string, timeoutMs = 5_000) {
  const lookup = openKeyLookup({ socketPath, timeoutMs });
  onTestFinished(() => lookup.close());
  return lookup;
}

const knowsOne: Find = (_, key) =>
  Promise.resolve(key === secret ? { name: 'ci', total_quota: 0, expires_at: null } : undefined);

test('a row arrives as it was found, and an unknown key as undefined', async () => {
  const socketPath = freshSocket();
  await serve(socketPath, knowsOne);
  const lookup = open(socketPath);
  expect(await lookup.find('customers', secret)).toEqual({ name: 'ci', total_quota: 0, expires_at: null });
  expect(await lookup.find('customers', 'sk-other')).toBeUndefined();
});

test('the socket is open to one user only', async () => {
  const socketPath = freshSocket();
  await serve(socketPath, knowsOne);
  expect(statSync(socketPath).mode & 0o777).toBe(0o600);
});

test('a process that is not there is an error, and found once it is there', async () => {
  const socketPath = freshSocket();
  const lookup = open(socketPath);
  await expect(lookup.find('customers', secret)).rejects.toThrow(/^key lookup: .*ENOENT/);
  await serve(socketPath, knowsOne);
  expect(await lookup.find('customers', secret)).toMatchObject({ name: 'ci' });
});

test('a restart of the process fails no lookup that comes after it', async () => {
  const socketPath = freshSocket();
  const first = await serve(socketPath, knowsOne);
  const lookup = open(socketPath);
  await lookup.find('customers', secret);
  await first.close(0);
  await serve(socketPath, knowsOne);
  expect(await lookup.find('customers', secret)).toMatchObject({ name: 'ci' });
});

test('what the database says is told as an error, not as an unknown key', async () => {
  const socketPath = freshSocket();
  await serve(socketPath, () => Promise.reject(new Error('database main: not reachable')));
  await expect(open(socketPath).find('customers', secret)).rejects.toThrow(
    'key lookup: database main: not reachable',
  );
});

test('a provider that the process does not know is an error', async () => {
  const socketPath = freshSocket();
  await serve(socketPath, knowsOne);
  await expect(open(socketPath).find('partners', secret)).rejects.toThrow(
    'key lookup: no database provider is called partners in the config',
  );
});

test('nobody waits longer than the time-out, and the error does not hold the key', async () => {
  const socketPath = freshSocket();
  const { promise: never } = Promise.withResolvers<FoundKey>();
  await serve(socketPath, () => never);
  const error = await open(socketPath, 50)
    .find('customers', secret)
    .catch((cause: unknown) => cause as Error);
  expect(error).toMatchObject({ message: 'key lookup: no answer within 50 ms' });
  expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(secret);
});

test('an answer that is not ours is an error', async () => {
  const socketPath = freshSocket();
  const server = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'));
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  onTestFinished(() => void server.close());
  await expect(open(socketPath).find('customers', secret)).rejects.toThrow(/^key lookup: /);
});

test.each([
  ['GET', '/lookup', '', 404],
  ['POST', '/', '{}', 404],
  ['POST', '/lookup', '{"provider":"customers"}', 400],
  ['POST', '/lookup', 'nonsense', 400],
  ['POST', '/lookup', ' '.repeat(20_000), 400],
])('%s %s is answered with what is wrong about it', async (method, path, body, status) => {
  const socketPath = freshSocket();
  await serve(socketPath, knowsOne);
  const client = new Client('http://localhost', { connect: { socketPath } });
  onTestFinished(() => client.destroy());
  const answer = await request('http://localhost' + path, {
    method: method as 'GET' | 'POST',
    dispatcher: client,
    ...(body === '' ? {} : { body }),
  });
  expect(answer.statusCode).toBe(status);
  expect(await answer.body.json()).toEqual({ error: expect.any(String) as string });
});

test('a socket left by a process that was killed is replaced, one that is answered on is not', async () => {
  const socketPath = freshSocket();
  await serve(socketPath, knowsOne);
  await expect(serve(socketPath, knowsOne)).rejects.toThrow(`another process answers on ${socketPath}`);
  expect(await open(socketPath).find('customers', secret)).toMatchObject({ name: 'ci' });
});

test('a file that is no socket is left alone', async () => {
  const socketPath = freshSocket();
  writeFileSync(socketPath, 'mine');
  await expect(serve(socketPath, knowsOne)).rejects.toThrow('EADDRINUSE');
});

test('a path too long for a socket is told in words', async () => {
  const path = `/tmp/${'x'.repeat(120)}.sock`;
  await expect(serve(path, knowsOne)).rejects.toThrow(/is too long for a socket \(103 bytes\)/);
});

test('a process told to stop finishes the lookups under way', async () => {
  const socketPath = freshSocket();
  const { promise, resolve } = Promise.withResolvers<FoundKey>();
  const asked = vi.fn<Find>(() => promise);
  const server = await serve(socketPath, asked);
  const answer = open(socketPath).find('customers', secret);
  await vi.waitUntil(() => asked.mock.calls.length > 0);
  const closed = server.close(10_000);
  resolve({ name: 'late' });
  expect(await answer).toEqual({ name: 'late' });
  await closed;
});
