import { createHash } from 'node:crypto';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { libraryPath, unpackDebianPackages } from './index.ts';

/** A Debian mirror of two tiny packages on a real port: `greeting` depends on `greeting-data`. */
let work: string;
let cacheDir: string;
let requests: string[];
/** Paths that are answered with 503, and how many times yet. */
const failing = new Map<string, number>();
const mirror = createServer((request, response) => {
  const path = request.url ?? '/';
  requests.push(path);
  const failures = [...failing].find(([part]) => path.includes(part));
  if (failures !== undefined && failures[1] > 0) {
    failing.set(failures[0], failures[1] - 1);
    response.writeHead(503).end();
    return;
  }
  const file = join(work, 'mirror', path);
  if (existsSync(file)) response.end(readFileSync(file));
  else response.writeHead(404).end();
});

async function buildPackage(name: string, depends: string, text: string): Promise<string> {
  const folder = join(work, name);
  await mkdir(join(folder, 'DEBIAN'), { recursive: true });
  await mkdir(join(folder, 'usr', 'share'), { recursive: true });
  const control = [
    `Package: ${name}`,
    'Version: 1',
    'Architecture: all',
    'Maintainer: A <a@example.org>',
    ...(depends === '' ? [] : [`Depends: ${depends}`]),
    'Description: for tests',
  ];
  await writeFile(join(folder, 'DEBIAN', 'control'), control.join('\n') + '\n');
  await writeFile(join(folder, 'usr', 'share', name), text);
  await chmod(folder, 0o755);
  const file = join(work, 'mirror', `${name}_1_all.deb`);
  execFileSync('dpkg-deb', ['--root-owner-group', '-b', folder, file], { stdio: 'ignore' });
  const bytes = readFileSync(file);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return [...control, `Filename: ./${name}_1_all.deb`, `Size: ${bytes.length}`, `SHA256: ${sha256}`].join(
    '\n',
  );
}

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'llmproxy-mirror-'));
  await mkdir(join(work, 'mirror'));
  const data = await buildPackage('greeting-data', '', 'hello');
  const program = await buildPackage('greeting', 'greeting-data', 'program');
  await writeFile(join(work, 'mirror', 'Packages'), `${data}\n\n${program}\n`);
  await new Promise<void>((resolve) => mirror.listen(0, '127.0.0.1', resolve));
  const { port } = mirror.address() as AddressInfo;
  await writeFile(join(work, 'sources.list'), `deb [trusted=yes] http://127.0.0.1:${port} ./\n`);
  const config = join(work, 'apt.conf');
  await writeFile(
    config,
    `Dir::Etc::sourcelist "${work}/sources.list"; Dir::Etc::sourceparts "/dev/null"; Acquire::http::Proxy "DIRECT";`,
  );
  process.env['APT_CONFIG'] = config;
});

beforeEach(async () => {
  requests = [];
  failing.clear();
  cacheDir = await mkdtemp(join(work, 'cache-'));
});

afterAll(async () => {
  mirror.close();
  await rm(work, { recursive: true, force: true });
});

const greeting = () => unpackDebianPackages({ name: 'greeting', packages: ['greeting'], cacheDir });

test('a package comes with the dependencies that the machine lacks', async () => {
  const root = await greeting();
  expect(readFileSync(join(root, 'usr/share/greeting'), 'utf8')).toBe('program');
  expect(readFileSync(join(root, 'usr/share/greeting-data'), 'utf8')).toBe('hello');
});

test('the second call needs no network and says nothing', async () => {
  const root = await greeting();
  requests = [];
  const progress: string[] = [];
  const again = await unpackDebianPackages({
    name: 'greeting',
    packages: ['greeting'],
    cacheDir,
    onProgress: (text) => progress.push(text),
  });
  expect({ again, requests, progress }).toEqual({ again: root, requests: [], progress: [] });
});

test('another list of packages is another folder', async () => {
  const data = await unpackDebianPackages({ name: 'greeting', packages: ['greeting-data'], cacheDir });
  expect(existsSync(join(data, 'usr/share/greeting'))).toBe(false);
  expect(await greeting()).not.toBe(data);
});

test('a download that fails at first is tried again', async () => {
  failing.set('greeting-data_1', 2);
  const root = await greeting();
  expect(readFileSync(join(root, 'usr/share/greeting-data'), 'utf8')).toBe('hello');
});

test('a download that keeps failing is told with the packages, the folder and what to check, and leaves nothing', async () => {
  failing.set('greeting-data_1', Infinity);
  const message = await greeting().catch((cause: Error) => cause.message);
  expect(message).toContain(`cannot unpack the Debian packages greeting into ${cacheDir}`);
  expect(message).toContain('503');
  expect(message).toContain('/etc/apt/sources.list');
  expect(await readdir(cacheDir)).toEqual(['apt']);
});

test('an unknown package is named', async () => {
  const attempt = unpackDebianPackages({ name: 'x', packages: ['no-such-package'], cacheDir });
  await expect(attempt).rejects.toThrow(/Unable to locate package no-such-package/);
});

test('two processes at once download once and both get the whole folder', async () => {
  const index = fileURLToPath(new URL('./index.ts', import.meta.url));
  const source = `import { unpackDebianPackages } from ${JSON.stringify(index)};
    console.log(await unpackDebianPackages({ name: 'greeting', packages: ['greeting'], cacheDir: process.argv[1] }));`;
  const runOnce = async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', source, cacheDir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = await child.stdout.setEncoding('utf8').toArray();
    return lines.join('').trim();
  };
  const [one, two] = await Promise.all([runOnce(), runOnce()]);
  expect(one).toBe(two);
  expect(readFileSync(join(String(one), 'usr/share/greeting-data'), 'utf8')).toBe('hello');
  expect(requests.filter((path) => path.endsWith('.deb'))).toHaveLength(2);
});

test('what a killed process left half unpacked is removed', async () => {
  await mkdir(join(cacheDir, 'unpacking-abc'), { recursive: true });
  await greeting();
  expect(existsSync(join(cacheDir, 'unpacking-abc'))).toBe(false);
});

test('without apt the message says what is needed', async () => {
  vi.stubEnv('PATH', '/nonexistent');
  await expect(greeting()).rejects.toThrow(/apt-get cannot be run.*This needs Debian or Ubuntu/);
  vi.unstubAllEnvs();
});

test('the library path names every folder with libraries', async () => {
  await mkdir(join(work, 'root/usr/lib/x86_64-linux-gnu'), { recursive: true });
  await mkdir(join(work, 'root/usr/lib/other'), { recursive: true });
  expect(libraryPath(join(work, 'root'))).toBe(`${work}/root/usr/lib/x86_64-linux-gnu:${work}/root/usr/lib`);
});
