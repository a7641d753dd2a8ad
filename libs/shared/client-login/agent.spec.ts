import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { request } from 'undici';
import { openAgent, type AgentOptions, type TlsTexts } from './index.ts';

const pem = (name: string) =>
  readFileSync(new URL(`../../../test/fixtures/tls/${name}`, import.meta.url), 'utf8');
const ours: TlsTexts = { ca: pem('ca.crt'), cert: pem('client.crt'), key: pem('client.key') };

let server: Server;
let url: string;

/** Answers with the name in the certificate of whoever asks, and with the name it was asked for. */
beforeAll(async () => {
  const own = { cert: pem('server.crt'), key: pem('server.key'), ca: pem('ca.crt'), requestCert: true };
  server = createServer(own, (incoming, answer) => {
    const socket = incoming.socket as TLSSocket;
    answer.end(`${socket.getPeerCertificate().subject.CN} asked ${String(socket.servername)}`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => void server.close());

function open(tls: AgentOptions['tls'], tell?: AgentOptions['tell']) {
  const dispatcher = openAgent({ connections: 2, tls, tell });
  onTestFinished(() => dispatcher.close());
  return async (headers: Record<string, string> = {}) => {
    const { body } = await request(url, { dispatcher, headers, signal: AbortSignal.timeout(5000) });
    return body.text();
  };
}

test('a server of our authority is asked, and knows us by our certificate', async () => {
  expect(await open(() => ours)()).toBe('llmproxy asked false');
});

test('the name that the certificate must carry may be another than the host', async () => {
  expect(await open(() => ({ ...ours, servername: 'store.test' }))()).toBe('llmproxy asked store.test');
});

test.each([
  ['of another authority', { ...ours, ca: pem('backend.crt') }, /verify|self-signed|local issuer/],
  ['under another name', { ...ours, servername: 'other.test' }, /does not match certificate's altnames/],
])('a server %s is not asked', async (_, texts, reason) => {
  await expect(open(() => texts)()).rejects.toThrow(reason);
});

test('certificates that are replaced are used from the next connection on; what is broken meanwhile is told once', async () => {
  let read = (): TlsTexts => ({ ...ours, ca: pem('backend.crt') });
  const told: string[] = [];
  const ask = open(
    () => read(),
    (reason) => told.push(reason),
  );
  await expect(ask()).rejects.toThrow();
  read = () => ours;
  expect(await ask({ connection: 'close' })).toContain('llmproxy');
  read = () => {
    throw new Error('/etc/tls/ca.pem: the file of authorities does not exist');
  };
  for (const _ of [1, 2]) expect(await ask({ connection: 'close' })).toContain('llmproxy');
  expect(told).toEqual([
    '/etc/tls/ca.pem: the file of authorities does not exist; what was read last stays in use',
  ]);
});

test('certificates that cannot be read from the start are refused', () => {
  const tls = () => {
    throw new Error('/etc/tls/ca.pem: the file of authorities does not exist');
  };
  expect(() => openAgent({ connections: 1, tls })).toThrow('/etc/tls/ca.pem');
});
