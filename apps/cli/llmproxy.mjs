#!/usr/bin/env node
// The `llmproxy` command. Plain JavaScript that runs on Node >= 20 with nothing installed: it installs the
// dependencies of a checkout, finds Node 24, builds what `start` needs, and hands over to main.ts.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { alone, installDependencies } from './install.mjs';
import { findNode24, noNode24, repoRoot } from './node24.mjs';

const [command = 'help'] = process.argv.slice(2);
const isCheckout = existsSync(join(repoRoot, 'nx.json'));

if (isCheckout) await installDependencies();
const node = findNode24();
if (node === undefined) {
  console.error(noNode24);
  process.exit(1);
}
const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}` };

if (isCheckout && command === 'start') {
  const ask = [join(repoRoot, 'apps', 'cli', 'before-build.ts'), ...process.argv.slice(3)];
  const { status } = spawnSync(node, ask, { env, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
  console.error('llmproxy: building (a few seconds; at once when nothing has changed)…');
  const nx = join(repoRoot, 'node_modules', '.bin', 'nx');
  const built = await alone(() =>
    spawnSync(node, [nx, 'run-many', '-t', 'build', '--output-style=stream'], {
      cwd: repoRoot,
      env: { ...env, NX_DAEMON: 'false' },
      encoding: 'utf8',
    }),
  );
  if (built.status !== 0) {
    console.error(`${built.stdout}${built.stderr}\nllmproxy: the build failed (see above).`);
    process.exit(1);
  }
}

const built = join(repoRoot, 'dist', 'apps', 'cli', 'main.js');
const main = isCheckout && command !== 'start' ? join(repoRoot, 'apps', 'cli', 'main.ts') : built;
const child = spawn(node, [main, ...process.argv.slice(2)], { env, stdio: 'inherit' });
// Ctrl-C reaches the child as well (same terminal); we only stay until it has stopped everything.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
