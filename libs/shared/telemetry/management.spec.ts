import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { probeAnswer, serveManagement, type Management, type Readiness } from './management.ts';

const well = (): Readiness => ({
  ok: true,
  checks: { config: 'ok', redis: 'away (reconnecting); serving without it' },
});
const draining = (): Readiness => ({ ok: false, checks: { draining: 'yes' } });

test.each(['/livez', '/health', '/livez?x=1'])('%s answers as long as the process does', (target) => {
  expect(probeAnswer(target, draining)).toEqual({ status: 200, text: 'OK\n' });
});

test.each(['/readyz', '/healthz'])('%s tells whether to send requests here', (target) => {
  expect(probeAnswer(target, well)).toEqual({ status: 200, text: 'OK\n' });
  expect(probeAnswer(target, draining)).toEqual({ status: 503, text: 'not ready\n' });
});

test.each(['/readyz?verbose', '/readyz?verbose=1', '/readyz?x&verbose'])(
  '%s tells what each check found',
  (target) => {
    expect(probeAnswer(target, well)).toEqual({
      status: 200,
      text: '[+]config ok\n[-]redis away (reconnecting); serving without it\nready\n',
    });
    expect(probeAnswer(target, draining)).toEqual({ status: 503, text: '[-]draining yes\nnot ready\n' });
  },
);

test('a check that is well and has a remark counts as well', () => {
  const recovered = (): Readiness => ({ ok: true, checks: { queue: 'ok; failed last at noon: OOM' } });
  expect(probeAnswer('/readyz?verbose', recovered)?.text).toBe(
    '[+]queue ok; failed last at noon: OOM\nready\n',
  );
});

test.each(['/', '/metrics', '/readyz/', '/live'])('%s is no probe', (target) => {
  expect(probeAnswer(target, well)).toBeUndefined();
});

let folder: string;
const open: Management[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'llmproxy-management-'));
});
afterEach(async () => {
  for (const management of open.splice(0)) await management.close();
  rmSync(folder, { recursive: true });
});

async function serving(options: Partial<Parameters<typeof serveManagement>[0]>): Promise<Management> {
  const management = await serveManagement({ listen: '127.0.0.1:0', ready: well, ...options });
  open.push(management);
  return management;
}

function get(
  address: string,
  path: string,
): Promise<{ status: number | undefined; type: string | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const where = address.startsWith('unix:')
      ? { socketPath: address.slice('unix:'.length) }
      : new URL(address);
    httpRequest({ ...urlParts(where), path }, (answer) => {
      text(answer)
        .then((body) => resolve({ status: answer.statusCode, type: answer.headers['content-type'], body }))
        .catch(reject);
    })
      .on('error', reject)
      .end();
  });
}
const urlParts = (where: URL | { socketPath: string }) =>
  'socketPath' in where ? where : { host: where.hostname, port: where.port };

test.each(['tcp', 'unix'])('probes and metrics are served on a %s listener of their own', async (kind) => {
  const listen = kind === 'tcp' ? '127.0.0.1:0' : `unix:${join(folder, 'm.sock')}`;
  const { address } = await serving({
    listen,
    metrics: () => Promise.resolve('up 1\n'),
    snapshot: () => Promise.resolve([{ name: 'up' }]),
  });
  expect(await get(address, '/readyz?verbose')).toMatchObject({
    status: 200,
    body: expect.stringMatching(/ready\n$/) as string,
  });
  expect(await get(address, '/metrics?x=1')).toEqual({
    status: 200,
    type: 'text/plain; version=0.0.4; charset=utf-8',
    body: 'up 1\n',
  });
  expect(await get(address, '/metrics.json')).toMatchObject({
    type: 'application/json',
    body: '[{"name":"up"}]',
  });
  expect(await get(address, '/v1/models')).toMatchObject({ status: 404 });
});

test('metrics are at the path that was configured, and nowhere when they are off', async () => {
  const named = await serving({ metricsPath: '/prom', metrics: () => Promise.resolve('up 1\n') });
  expect((await get(named.address, '/prom')).status).toBe(200);
  expect((await get(named.address, '/metrics')).status).toBe(404);
  const off = await serving({});
  expect((await get(off.address, '/metrics')).status).toBe(404);
});

test('metrics that cannot be collected are an error of one scrape, without its cause', async () => {
  const { address } = await serving({ metrics: () => Promise.reject(new Error('secret')) });
  const { status, body } = await get(address, '/metrics');
  expect([status, body.includes('secret')]).toEqual([500, false]);
  expect((await get(address, '/livez')).status).toBe(200);
});

test('the socket of a process that was killed does not keep the next one from listening', async () => {
  const path = join(folder, 'm.sock');
  const dies = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  expect(spawnSync(process.execPath, ['-e', dies]).signal).toBe('SIGKILL');
  expect(existsSync(path)).toBe(true);
  const { address } = await serving({ listen: `unix:${path}` });
  expect((await get(address, '/livez')).status).toBe(200);
});

test('the socket of a process that runs is not taken from it', async () => {
  const path = join(folder, 'm.sock');
  const { address } = await serving({ listen: `unix:${path}` });
  await expect(serving({ listen: `unix:${path}` })).rejects.toThrow(`another process answers on ${path}`);
  expect((await get(address, '/livez')).status).toBe(200);
});

test('a file that is no socket is left alone', async () => {
  const path = join(folder, 'precious');
  writeFileSync(path, 'data');
  await expect(serving({ listen: `unix:${path}` })).rejects.toThrow('EADDRINUSE');
  expect(existsSync(path)).toBe(true);
});

test('an address that is taken is an error', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as { port: number };
  await expect(serving({ listen: `127.0.0.1:${port}` })).rejects.toThrow('EADDRINUSE');
  other.close();
});
