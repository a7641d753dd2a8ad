/** What the private servers have in common: a folder of their own, and a user who may run them. */
import { cp, chown, mkdir, mkdtemp, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { libraryPath, unpackDebianPackages } from '@llmproxy/debian-packages';

/** A server started for tests only; all it holds is thrown away when it ends. */
export interface PrivateServer {
  readonly url: string;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
  /** Lets this process end while the server runs; the server then ends with it. */
  unref(): void;
}

export interface PrivateServerChoice {
  /** Where unpacked Debian packages are kept; default: `.cache/debian` of the checkout. */
  readonly cacheDir?: string | undefined;
  /** Hears one line of text before each step that takes seconds. */
  readonly onProgress?: ((text: string) => void) | undefined;
}

/** Programs from Debian packages, ready to be run on a folder. */
export interface PrivatePrograms {
  /** Holds `usr/` of the packages. */
  readonly root: string;
  /** For everything the server writes; belongs to whom it runs as. Not removed by itself. */
  readonly folder: string;
  /** An empty folder in it for the database. */
  readonly data: string;
  readonly env: NodeJS.ProcessEnv;
  /** The command line that runs `command` as a user the server accepts. */
  commandLine(command: string, args: readonly string[]): { command: string; args: string[] };
  /** Writes a file into the folder that only the server may read, as it asks of private keys. @returns its path */
  secretFile(name: string, content: string): Promise<string>;
}

/** nobody and nogroup on Debian. */
const nobody = 65534;
/** Leaves room for the name of a socket: its whole path has to stay below 104 bytes. */
const folderCharsMax = 60;

/** A fresh folder under the temporary directory, or /tmp when that is too long for sockets in it. */
export async function privateFolder(name: string): Promise<string> {
  const parents = [tmpdir(), '/tmp', '/var/tmp'];
  for (const parent of parents) {
    if (parent.length <= folderCharsMax && (!isRoot() || (await isOpenToAll(parent)))) {
      return mkdtemp(join(parent, `llmproxy-${name}-`));
    }
  }
  throw new Error(
    `none of ${parents.join(', ')} can hold the data of a test server; set TMPDIR to a short path`,
  );
}

/** Unpacks packages for a server that refuses to run as root, and makes it a folder. */
export async function privatePrograms(
  name: string,
  packages: readonly string[],
  choice: PrivateServerChoice,
): Promise<PrivatePrograms> {
  const unpacked = await unpackDebianPackages({ name, packages, ...choice });
  const folder = await privateFolder(name);
  const data = join(folder, 'data');
  await mkdir(data, { mode: 0o700 });
  let root = unpacked;
  if (isRoot()) {
    // Below a folder closed to others (a home, a `mktemp -d`) nobody cannot run the programs: run a copy of them.
    if (!(await isOpenToAll(unpacked))) {
      root = join(folder, 'programs');
      await cp(unpacked, root, { recursive: true, verbatimSymlinks: true });
    }
    for (const path of [folder, data]) await chown(path, nobody, nobody);
  }
  return {
    root,
    folder,
    data,
    env: { ...process.env, LC_ALL: 'C', LD_LIBRARY_PATH: libraryPath(root) },
    commandLine: (command, args) =>
      isRoot() ? { command: 'setpriv', args: [...asNobody, command, ...args] } : { command, args: [...args] },
    secretFile: async (file, content) => {
      const path = join(folder, file);
      await writeFile(path, content, { mode: 0o600 });
      if (isRoot()) await chown(path, nobody, nobody);
      return path;
    },
  };
}

const asNobody = [`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'];

const isRoot = (): boolean => process.getuid?.() === 0;

/** Whether every user may pass through `path` and all folders above it. */
async function isOpenToAll(path: string): Promise<boolean> {
  for (let folder = path; ; folder = dirname(folder)) {
    if (((await stat(folder)).mode & 0o001) === 0) return false;
    if (dirname(folder) === folder) return true;
  }
}
