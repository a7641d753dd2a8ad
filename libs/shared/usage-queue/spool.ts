/**
 * Batches on disk while Redis cannot take them: one JSON array per line, in files that only grow. Guarantee: a batch
 * whose `append` resolved is in a file that some gateway process will replay, whoever claims that file and when.
 * A batch may be replayed twice (its id is what makes that harmless), but not zero times.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { asBatch } from './batch.ts';
import type { UsageEvent } from './usage-event.ts';

const fileBytesMax = 8 * 1024 * 1024;
const claimStaleMs = 60_000;
const touchEveryBatches = 100;
const spooled = /^usage-[\w-]+\.ndjson$/;
const claimed = /^usage-[\w-]+\.claimed$/;

interface OpenFile {
  path: string;
  handle: FileHandle;
  inode: number;
  bytes: number;
}

export interface SpoolReplay {
  /** Called for each batch in turn; a rejection stops the replay and keeps the rest for later. */
  send(events: UsageEvent[]): Promise<void>;
  /** A line that is no batch; it was kept in `unreadable.txt` beside the spool files. */
  onUnreadable(file: string): void;
  /** A file that could not be read, such as for want of file descriptors; it stays, and is tried again a minute later. */
  onUnread(file: string, cause: unknown): void;
}

export class Spool {
  readonly #dir: string;
  #file: OpenFile | undefined;
  #tail: Promise<void> = Promise.resolve();

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Resolves once the batch is in the file (not fsynced). @throws the file system's error; append it again then */
  append(events: readonly UsageEvent[]): Promise<void> {
    const line = `${JSON.stringify(events)}\n`;
    const written = this.#tail.then(() => this.#write(line));
    this.#tail = written.catch(() => undefined);
    return written;
  }

  /** Lets go of the file being written; the next batch opens a new one. */
  close(): Promise<void> {
    this.#tail = this.#tail.then(() => this.#release());
    return this.#tail;
  }

  /**
   * Claims the spool files one by one, whichever process wrote them, and sends their batches.
   * @returns how many batches were sent
   * @throws what `send` threw; what was not sent stays spooled
   */
  async replay(replay: SpoolReplay): Promise<number> {
    let sent = 0;
    for (const name of await this.#list()) {
      const path = await this.#claim(name);
      if (path !== undefined) sent += await this.#replayFile(path, replay);
    }
    return sent;
  }

  /** Keeps an event for someone to look at, in `refused.ndjson`; it is not replayed. @throws the file system's error */
  async keepRefused(event: UsageEvent): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    await this.#keep('refused.ndjson', JSON.stringify(event));
  }

  async #write(line: string): Promise<void> {
    try {
      for (;;) {
        const file = (this.#file ??= await this.#open());
        await file.handle.appendFile(line);
        file.bytes += line.length;
        // A claim is a rename. When the path still leads to our file after the write, the rename is yet to come and
        // its owner will read this line. Otherwise it may have read the file already: write the line once more.
        const isOurs = await leadsTo(file.path, file.inode);
        if (!isOurs || file.bytes >= fileBytesMax) await this.#release();
        if (isOurs) return;
      }
    } catch (cause) {
      await this.#release(); // a line cut short by a full disk must stay the last one of its file
      throw cause;
    }
  }

  async #open(): Promise<OpenFile> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const path = join(this.#dir, `usage-${process.pid}-${randomBytes(6).toString('hex')}.ndjson`);
    const handle = await open(path, 'ax', 0o600);
    return { path, handle, inode: (await handle.stat()).ino, bytes: 0 };
  }

  async #release(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.handle.close().catch(() => undefined);
  }

  /** Files to replay: whole ones, and claims whose owner died at it. */
  async #list(): Promise<string[]> {
    const names = await readdir(this.#dir).catch(() => []);
    const stale: string[] = [];
    for (const name of names.filter((candidate) => claimed.test(candidate))) {
      const claim = await stat(join(this.#dir, name)).catch(() => undefined);
      if (claim && Date.now() - claim.mtimeMs > claimStaleMs) stale.push(name);
    }
    return [...names.filter((name) => spooled.test(name)), ...stale];
  }

  /** Takes the file away from all others; undefined when another was faster. */
  async #claim(name: string): Promise<string | undefined> {
    const path = join(this.#dir, `usage-${process.pid}-${randomBytes(6).toString('hex')}.claimed`);
    try {
      await rename(join(this.#dir, name), path);
      await utimes(path, new Date(), new Date());
      return path;
    } catch {
      return undefined;
    }
  }

  async #replayFile(path: string, replay: SpoolReplay): Promise<number> {
    const content = await contentOf(path, replay);
    if (content === undefined) return 0;
    const lines = content.split('\n').filter((line) => line !== '');
    let sent = 0;
    for (const [index, line] of lines.entries()) {
      const events = batchOf(line);
      if (!events) {
        await this.#keep('unreadable.txt', line);
        replay.onUnreadable(path);
        continue;
      }
      try {
        await replay.send(events);
      } catch (cause) {
        await this.#putBack(lines.slice(index));
        await rm(path, { force: true });
        throw cause;
      }
      sent += 1;
      if (sent % touchEveryBatches === 0) await utimes(path, new Date(), new Date()).catch(() => undefined);
    }
    await rm(path, { force: true });
    return sent;
  }

  async #putBack(lines: readonly string[]): Promise<void> {
    const written = this.#tail.then(() => this.#write(`${lines.join('\n')}\n`));
    this.#tail = written.catch(() => undefined);
    await written;
  }

  async #keep(name: string, line: string): Promise<void> {
    const handle = await open(join(this.#dir, name), 'a', 0o600);
    await handle.appendFile(`${line}\n`).finally(() => handle.close());
  }
}

/** Undefined when the file is to be left as it is. */
async function contentOf(path: string, replay: SpoolReplay): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    // A claim that went stale while this process was stopped may have been taken over: then it is no longer here.
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') replay.onUnread(path, cause);
    return undefined;
  }
}

async function leadsTo(path: string, inode: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.ino === inode;
}

function batchOf(line: string): UsageEvent[] | undefined {
  try {
    return asBatch(JSON.parse(line));
  } catch {
    return undefined;
  }
}
