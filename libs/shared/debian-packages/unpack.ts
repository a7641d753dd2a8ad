/**
 * Debian packages as a folder of files: no root, no installing, no change to the machine's own apt state.
 * A folder that exists is complete: it is unpacked aside and renamed into place, by one process at a time.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { lockFile } from './lock.mjs';
import { CommandFailed, run } from './run.ts';

export interface WantedPackages {
  /** First part of the folder's name, for people who look into the cache. */
  readonly name: string;
  /** Debian package names; dependencies that the machine lacks come along. */
  readonly packages: readonly string[];
  /** Where unpacked packages are kept between runs; default `defaultCacheDir()`. */
  readonly cacheDir?: string | undefined;
  /** Hears one line of text before each step that takes seconds. */
  readonly onProgress?: ((text: string) => void) | undefined;
}

const attemptsMax = 4;
const retryDelayMs = 250;
const listsFreshMs = 6 * 3600 * 1000;

/** `.cache/debian` in the checkout around the working directory, or in the working directory itself. */
export function defaultCacheDir(): string {
  const cwd = process.cwd();
  let folder = cwd;
  while (!existsSync(join(folder, 'nx.json'))) {
    if (dirname(folder) === folder) return join(cwd, '.cache', 'debian');
    folder = dirname(folder);
  }
  return join(folder, '.cache', 'debian');
}

/** LD_LIBRARY_PATH with which programs under `root` find the libraries unpacked with them. */
export function libraryPath(root: string): string {
  const folders = ['usr/lib', 'lib'].flatMap((lib) => {
    const path = join(root, lib);
    if (!existsSync(path)) return [];
    const perMachine = readdirSync(path).filter((entry) => entry.includes('-linux-gnu'));
    return [...perMachine.map((entry) => join(path, entry)), path];
  });
  return folders.join(delimiter);
}

/**
 * Unpacks packages with the dependencies this machine lacks and returns the folder that holds `usr/bin` and so on;
 * from the second call on, without network.
 * @throws Error saying what failed, where, and what to do, when apt is missing or a download keeps failing
 */
export async function unpackDebianPackages(wanted: WantedPackages): Promise<string> {
  const cacheDir = resolve(wanted.cacheDir ?? defaultCacheDir());
  const root = join(cacheDir, `${wanted.name}-${fingerprint(wanted.packages)}`);
  if (existsSync(root)) return root;
  const what = `cannot unpack the Debian packages ${wanted.packages.join(', ')}`;
  await requireApt(what);
  await mkdir(join(cacheDir, 'apt'), { recursive: true }).catch((cause: Error) => {
    throw new Error(`${what}: ${cacheDir} cannot be made (${cause.message}); choose a writable cache folder`);
  });
  await using _lock = await lockFile(join(cacheDir, 'apt', 'lock'));
  if (existsSync(root)) return root;
  await removeLeftovers(cacheDir);
  const aside = await mkdtemp(join(cacheDir, 'unpacking-'));
  try {
    wanted.onProgress?.(`downloading ${wanted.packages.join(', ')} from the Debian mirror…`);
    const archives = await download(wanted.packages, cacheDir, aside).catch((cause: unknown) => {
      throw new Error(`${what} into ${cacheDir}: ${reason(cause)}`, { cause });
    });
    for (const archive of archives) await run('dpkg-deb', ['-x', archive, join(aside, 'root')]);
    await rename(join(aside, 'root'), root);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return root;
}

/** The same packages on another Debian release or processor are other files, also in a cache that travels. */
function fingerprint(packages: readonly string[]): string {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const version = /^VERSION_ID=.*$/m.exec(release)?.[0] ?? '';
  const distribution = /^ID=.*$/m.exec(release)?.[0] ?? '';
  const parts = [process.arch, distribution, version, ...[...packages].sort()];
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 12);
}

async function requireApt(what: string): Promise<void> {
  for (const tool of ['apt-get', 'dpkg-deb', 'flock']) {
    await run(tool, ['--version']).catch((cause: Error) => {
      throw new Error(
        `${what}: ${cause.message}. This needs Debian or Ubuntu; elsewhere install the programs yourself`,
      );
    });
  }
}

/** A process killed while it unpacked leaves its folder; the lock says that nobody is unpacking now. */
async function removeLeftovers(cacheDir: string): Promise<void> {
  for (const entry of await readdir(cacheDir)) {
    if (entry.startsWith('unpacking-')) await rm(join(cacheDir, entry), { recursive: true, force: true });
  }
}

/** Paths of the downloaded archives. What one attempt downloaded, the next one keeps. */
async function download(packages: readonly string[], cacheDir: string, aside: string): Promise<string[]> {
  const archives = join(aside, 'archives');
  const config = await writeAptConfig(join(cacheDir, 'apt'), archives, aside);
  for (let attempt = 1; ; attempt++) {
    try {
      await refreshLists(config, join(cacheDir, 'apt', 'refreshed'), attempt > 1);
      const install = ['install', '--download-only', '--reinstall', '--no-install-recommends', '-q'];
      await run('apt-get', ['-c', config, ...install, ...packages]);
      return await downloaded(packages, archives);
    } catch (cause) {
      // Lists refreshed in a second attempt are complete: a package they lack will not appear.
      const unknown = cause instanceof CommandFailed && cause.output.includes('Unable to locate package');
      if (attempt === attemptsMax || (unknown && attempt > 1)) throw cause;
      await delay(retryDelayMs * 2 ** attempt);
    }
  }
}

async function downloaded(packages: readonly string[], archives: string): Promise<string[]> {
  const files = (await readdir(archives)).filter((file) => file.endsWith('.deb'));
  const missing = packages.filter((name) => !files.some((file) => file.startsWith(`${name}_`)));
  if (missing.length > 0) {
    throw new Error(
      `the mirrors of this machine do not offer ${missing.join(', ')} for download; see apt-cache policy`,
    );
  }
  return files.map((file) => join(archives, file));
}

async function refreshLists(config: string, marker: string, force: boolean): Promise<void> {
  const refreshedMs = await stat(marker).then(
    (found) => found.mtimeMs,
    () => 0,
  );
  if (!force && Date.now() - refreshedMs < listsFreshMs) return;
  await run('apt-get', ['-c', config, 'update', '-q']);
  await writeFile(marker, '');
}

/**
 * A private apt: its own lists and archives, the machine's sources, and the machine's list of installed packages so
 * that only what is missing is fetched. Hooks of the machine (refreshing desktops, cleaning caches) do not run.
 */
async function writeAptConfig(state: string, archives: string, aside: string): Promise<string> {
  const folders = [join(state, 'lists', 'partial'), join(state, 'cache'), join(archives, 'partial')];
  for (const folder of folders) await mkdir(folder, { recursive: true });
  const file = join(aside, 'apt.conf');
  const settings = {
    'Dir::State': state,
    'Dir::State::lists': join(state, 'lists'),
    'Dir::State::status': '/var/lib/dpkg/status',
    'Dir::Cache': join(state, 'cache'),
    'Dir::Cache::archives': archives,
    'Dir::Log': aside,
    // dpkg's own lock belongs to root; ours (lockFile) guards the private state.
    'Debug::NoLocking': '1',
    // As root, apt would download as user _apt, who cannot write into a private folder.
    'APT::Sandbox::User': '',
    'APT::Get::Assume-Yes': '1',
    // download() retries, and refreshes the lists before it does.
    'Acquire::Retries': '0',
    'Acquire::Languages': 'none',
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} "${value}";`);
  await writeFile(file, ['#clear APT::Update;', '#clear DPkg;', ...lines, ''].join('\n'));
  return file;
}

function reason(cause: unknown): string {
  if (!(cause instanceof CommandFailed)) return cause instanceof Error ? cause.message : String(cause);
  const errors = cause.output.split('\n').filter((line) => /^(E|Err|W):/.test(line));
  const detail = errors.length > 0 ? errors.slice(-5).join(' ') : cause.output.slice(-500);
  return `${cause.message}: ${detail} Check the network, its proxy and /etc/apt/sources.list, then try again`;
}
