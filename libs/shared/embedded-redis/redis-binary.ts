/** Finds a redis-server to run: installed, in the project cache, or from a Debian package. */
import { libraryPath, unpackDebianPackages } from '@llmproxy/debian-packages';
import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, symlink } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

/** How to start a redis-server. */
export interface RedisBinary {
  readonly command: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface RedisBinaryChoice {
  /** Where unpacked Debian packages are kept; default: `.cache/debian` of the checkout. */
  readonly cacheDir?: string | undefined;
  /** Hears one line of text before each step that takes seconds. */
  readonly onProgress?: ((text: string) => void) | undefined;
}

/** BullMQ asks for 6.2; Valkey began as 7.2. */
const oldestUsable = [6, 2] as const;

/**
 * `redis-server` or `valkey-server` (6.2 or later) in PATH, else the one of Debian's redis-tools.
 * @throws Error naming the choices a user has when there is none
 */
export async function findRedisBinary(choice: RedisBinaryChoice): Promise<RedisBinary> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    for (const name of ['redis-server', 'valkey-server']) {
      const command = join(folder, name);
      if (folder !== '' && (await isUsable(command))) return { command, env: process.env };
    }
  }
  return fromDebian(choice);
}

async function isUsable(command: string): Promise<boolean> {
  try {
    await access(command, constants.X_OK);
    const { stdout } = await promisify(execFile)(command, ['--version']);
    const [, major = 0, minor = 0] = /v=(\d+)\.(\d+)/.exec(stdout)?.map(Number) ?? [];
    return major > oldestUsable[0] || (major === oldestUsable[0] && minor >= oldestUsable[1]);
  } catch {
    return false;
  }
}

async function fromDebian(choice: RedisBinaryChoice): Promise<RedisBinary> {
  const packages = ['redis-tools'];
  const root = await unpackDebianPackages({ name: 'redis', packages, ...choice }).catch((cause: Error) => {
    throw new Error(
      `There is no redis-server to run: none in PATH, and ${cause.message}. ` +
        'Install redis-server or valkey-server (6.2 or later), or set redis.url to a Redis that is running.',
      { cause },
    );
  });
  const command = join(root, 'usr/bin/redis-server');
  // The package of the tools holds the server: one executable that looks at the name it is started by.
  await symlink('redis-check-rdb', command).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'EEXIST') throw cause;
  });
  return { command, env: { ...process.env, LD_LIBRARY_PATH: libraryPath(root) } };
}
