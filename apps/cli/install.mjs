// Installs the dependencies of a checkout when they are missing or older than the lockfile.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { lockFile } from '../../libs/shared/debian-packages/lock.mjs';
import { repoRoot } from './node24.mjs';

function isCurrent() {
  const installed = join(repoRoot, 'node_modules', '.package-lock.json');
  if (!existsSync(join(repoRoot, 'package-lock.json'))) return true; // a bundle or an image: nothing to install
  if (!existsSync(installed)) return false;
  return statSync(installed).mtimeMs >= statSync(join(repoRoot, 'package-lock.json')).mtimeMs;
}

/**
 * Does `work`, which installs or builds, while no other process does so in this checkout: two at once would write to the
 * same files. Without flock(1) nobody is waited for.
 */
export async function alone(work) {
  mkdirSync(join(repoRoot, '.cache'), { recursive: true });
  const onWait = () =>
    console.error('llmproxy: another one installs or builds in this checkout; waiting for it…');
  const lock = await lockFile(join(repoRoot, '.cache', 'install.lock'), onWait).catch((cause) => {
    if (cause.code !== 'ENOENT') throw cause;
  });
  try {
    return work();
  } finally {
    await lock?.release();
  }
}

/** Runs `npm ci` when node_modules is missing or older than package-lock.json; exits the process when that fails. */
export async function installDependencies() {
  if (!isCurrent()) await alone(() => isCurrent() || install());
}

function install() {
  console.error('llmproxy: installing dependencies (npm ci, about a minute the first time)…');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const { status } = spawnSync(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: repoRoot,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) {
    console.error(
      'llmproxy: npm ci failed (see above). The gateway needs its dependencies from the npm registry.',
    );
    process.exit(1);
  }
}
