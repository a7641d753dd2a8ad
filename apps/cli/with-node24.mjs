// Runs a script on Node 24 after making sure the dependencies are installed: `node with-node24.mjs script [args]`.
// The npm scripts start here because npm runs on whatever Node the machine has (20 or later).
import { spawn } from 'node:child_process';
import { delimiter, dirname } from 'node:path';
import { findNode24, noNode24, repoRoot } from './node24.mjs';
import { installDependencies } from './install.mjs';

await installDependencies();
const node = findNode24();
if (node === undefined) {
  console.error(noNode24);
  process.exit(1);
}
const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ''}` };
const child = spawn(node, process.argv.slice(2), { cwd: repoRoot, env, stdio: 'inherit' });
// Ctrl-C reaches the child too (same terminal group); stay alive so that its exit code is ours.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
