import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startServerProcess, untilReady } from './index.ts';

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test('stopping ends the server and removes its folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'llmproxy-spec-'));
  const server = await startServerProcess({
    command: 'sleep',
    args: ['1000'],
    stopSignal: 'SIGTERM',
    removeAfter: folder,
  });
  expect(isAlive(server.pid)).toBe(true);
  await server.stop();
  expect([isAlive(server.pid), existsSync(folder)]).toEqual([false, false]);
  await server.stop();
});

test('a server ends, and its folder goes, when the process that started it is killed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'llmproxy-spec-'));
  const index = fileURLToPath(new URL('./index.ts', import.meta.url));
  const source = `import { startServerProcess } from ${JSON.stringify(index)};
    const server = await startServerProcess({ command: 'sleep', args: ['1000'], stopSignal: 'SIGTERM', removeAfter: process.argv[1] });
    console.log(String(server.pid)); // a bare number would be coloured where colours are forced
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', source, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void parent.kill('SIGKILL'));
  const pid = await new Promise<number>((resolve) => {
    parent.stdout.setEncoding('utf8').once('data', (text: string) => resolve(Number(text)));
  });
  expect(isAlive(pid)).toBe(true);
  parent.kill('SIGKILL');
  await vi.waitFor(() => expect([isAlive(pid), existsSync(folder)]).toEqual([false, false]), 10_000);
});

test('a server that ends before it is ready is told with its last words', async () => {
  const server = await startServerProcess({
    command: 'sh',
    args: ['-c', 'echo no such setting >&2; exit 3'],
    stopSignal: 'SIGTERM',
  });
  const ready = untilReady(server, 'the server', () => Promise.resolve(false));
  await expect(ready).rejects.toThrow('the server did not start: ended with 3. no such setting');
});

test('a program that does not exist is named', async () => {
  const start = startServerProcess({ command: '/no/such/program', args: [], stopSignal: 'SIGTERM' });
  await expect(start).rejects.toThrow('/no/such/program cannot be started');
});
