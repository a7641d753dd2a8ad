/**
 * One server per data folder: two on one append-only file would destroy it. Who holds a folder is written into it;
 * a holder that is gone, killed included, holds nothing.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ProcessIdentity } from './process-identity.ts';
import { identify, isRunning } from './process-identity.ts';
import { ask } from './spawn.ts';

/** A data folder that is ours. */
export interface Tenancy {
  /** Notes which server runs on it, so that the next start can wait for its end if we cannot. */
  note(serverPid: number): Promise<void>;
  release(): Promise<void>;
}

interface Holder {
  readonly owner: ProcessIdentity;
  readonly server?: ProcessIdentity;
}

const pollMs = 20;
const endMsMax = 60_000;

/**
 * Makes `dataDir` ours; a server left on it by a process that is gone is shut down first.
 * @throws Error when a running process holds it, or when the left server does not end within a minute
 */
export async function claim(dataDir: string, socket: string): Promise<Tenancy> {
  const file = join(dataDir, 'embedded.json');
  const owner = identify(process.pid);
  const write = (holder: Holder, flag: 'w' | 'wx') =>
    writeFile(file, JSON.stringify(holder), { flag, mode: 0o600 });
  for (;;) {
    const previous = await readHolder(file);
    refuseIfHeld(dataDir, previous);
    await endPrevious(dataDir, socket, previous?.server);
    await rm(file, { force: true });
    try {
      await write({ owner }, 'wx');
      break;
    } catch (error) {
      // Somebody else started in between: look at who it is.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  return {
    note: (serverPid) => write({ owner, server: identify(serverPid) }, 'w'),
    release: () => rm(file, { force: true }),
  };
}

async function readHolder(file: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Holder;
  } catch {
    return undefined; // never started here, or stopped in order
  }
}

function refuseIfHeld(dataDir: string, holder: Holder | undefined): void {
  if (holder === undefined || !isRunning(holder.owner)) return;
  // Our own server may have crashed; then we may start it again.
  const ours = holder.owner.pid === process.pid;
  if (ours && holder.server !== undefined && !isRunning(holder.server)) return;
  throw new Error(
    `${dataDir} is in use by the running process ${holder.owner.pid}; stop it, or choose another data folder`,
  );
}

async function endPrevious(
  dataDir: string,
  socket: string,
  server: ProcessIdentity | undefined,
): Promise<void> {
  const runs = async () => (server !== undefined && isRunning(server)) || (await isOccupied(socket));
  if (!(await runs())) return;
  // A signal as well, to a server too busy loading to take commands; never to a pid we cannot tell apart.
  if (server !== undefined && server.started !== '' && isRunning(server)) process.kill(server.pid, 'SIGTERM');
  await ask(socket, (redis) => redis.shutdown('SAVE'));
  const giveUpMs = performance.now() + endMsMax;
  while (await runs()) {
    if (performance.now() > giveUpMs) {
      throw new Error(
        `the redis-server left on ${dataDir} (pid ${server?.pid ?? 'unknown'}) does not end; kill it`,
      );
    }
    await delay(pollMs);
  }
}

/** Whether anything accepts connections there, be it still loading its data. */
async function isOccupied(socket: string): Promise<boolean> {
  return (await ask(socket, () => Promise.resolve(true))) === true;
}
