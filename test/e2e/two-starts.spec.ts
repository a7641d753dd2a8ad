/** Two `llmproxy start` at once: in one checkout, on one data folder, on two. */
import { redisForTests } from '@llmproxy/real-services';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repoRoot, startNode, type Child } from './harness/child.ts';
import { bearer, chat, chatPath } from './harness/authenticated.ts';
import { writeConfig } from './harness/gateway.ts';
import { fetchText } from './harness/http-client.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

/** A checkout that has not been installed: the launcher, and one dependency that needs no registry. */
function freshCheckout(folder: string): void {
  for (const path of ['apps/cli', 'libs/shared/debian-packages'])
    cpSync(join(repoRoot, path), join(folder, path), { recursive: true });
  mkdirSync(join(folder, 'one'));
  const one = { name: 'one', version: '1.0.0' };
  writeFileSync(join(folder, 'one/package.json'), JSON.stringify(one));
  const root = { name: 'checkout', version: '1.0.0', dependencies: { one: 'file:one' } };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(root));
  const packages = { '': root, one, 'node_modules/one': { resolved: 'one', link: true } };
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ ...root, lockfileVersion: 3, packages }));
}

test('a checkout is installed once, however many start in it for the first time', async () => {
  await using folder = tempFolder();
  freshCheckout(folder.path);
  const script = join(folder.path, 'uses-it.mjs');
  writeFileSync(script, `console.log(import.meta.resolve('one/package.json'));`);
  await using children = new AsyncDisposableStack();
  const started = Array.from({ length: 3 }, () =>
    children.use(
      startNode({
        args: [join(folder.path, 'apps/cli/with-node24.mjs'), script],
        cwd: folder.path,
        ipc: false,
      }),
    ),
  );
  const exits = await Promise.all(started.map(({ exited }) => exited));
  const said = started.map(({ output }) => output.stderr).join('\n');
  expect(exits.map(({ code }) => code)).toEqual([0, 0, 0]);
  expect(said.match(/installing dependencies/g)).toHaveLength(1);
  for (const { output } of started) expect(output.stdout).toContain('/one/package.json');
});

function start(cwd: string, ...options: string[]): Child {
  const args = [`${repoRoot}dist/apps/cli/main.js`, 'start', ...options];
  return startNode({ args, cwd, ipc: false, group: true });
}

const isUp = ({ output }: Child) => until('the banner', () => output.stderr.includes('Ctrl-C stops'), 60_000);

test('a second start on the same data folder is refused, and does not disturb the first', async () => {
  await using folder = tempFolder();
  await using redis = await redisForTests();
  const config = writeConfig({
    folder: folder.path,
    redisUrl: redis.url,
    backends: [{ name: 'nowhere', url: 'http://127.0.0.1:9' }],
  });
  await using first = start(folder.path, '--config', config);
  const management = await until(
    'the first serves',
    () => /"address":"(http:[^"]+)","msg":"management listener/.exec(first.output.stdout)?.[1],
  );
  await isUp(first);
  const isWhole = async (): Promise<boolean> => {
    const { text } = await fetchText(management, '/metrics', { headers: {} });
    // The worker's and the scheduler's own, asked for on their sockets.
    return text.includes('llmproxy_dead_letters') && text.includes('llmproxy_leases_reaped_total');
  };
  await until('its metrics are those of all its processes', isWhole);

  await using second = start(folder.path, '--config', config);
  expect(await second.exited).toEqual({ code: 1, signal: null });
  expect(second.output.stderr).toContain(
    `llmproxy: another "llmproxy start" runs on the data folder ${join(folder.path, 'data')}. Stop it, or give this one`,
  );
  expect(await isWhole()).toBe(true);
  first.kill('SIGTERM');
  expect(await first.exited).toEqual({ code: 0, signal: null });
});

test('two starts at the same moment, each with a folder and an address of its own, both serve', async () => {
  await using one = tempFolder();
  await using other = tempFolder();
  await using children = new AsyncDisposableStack();
  const starts = [one, other].map(({ path }) => children.use(start(path, '--listen', '127.0.0.1:0')));
  await Promise.all(starts.map(isUp));
  const answers = starts.map(({ output: { stderr } }) => {
    const [, address = '', key = ''] = /Address {3}(http:\S+)\/v1$.*API key {3}(\S+)$/ms.exec(stderr) ?? [];
    return fetchText(address, chatPath, { body: chat, headers: bearer(key) });
  });
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200]);
  for (const child of starts) child.kill('SIGTERM');
  expect(await Promise.all(starts.map(({ exited }) => exited))).toEqual([
    { code: 0, signal: null },
    { code: 0, signal: null },
  ]);
}, 60_000);
