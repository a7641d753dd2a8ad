/**
 * Keeps a copy of the built-in store's records on disk, and puts back what Redis loses: evicted, flushed, restarted
 * without its data. Any number of schedulers may do so. Guarantee: a key that was removed never comes back, and one that
 * was disabled never comes back enabled; where that is not certain nothing is restored, and people are told.
 */
import {
  keyIdOfHash,
  nameLatestChange,
  readChanges,
  readKeyTexts,
  removedKeptMs,
  removeKeyRecord,
  reservePlaces,
  scanKeyTexts,
  type KeyText,
} from '@llmproxy/key-store';
import {
  checkConnection,
  closeRedis,
  connectRedis,
  type RedisClient,
  type RedisTarget,
} from '@llmproxy/redis';
import { rename } from 'node:fs/promises';
import { hearChanges, type ChangesHeard } from './changes-heard.ts';
import { readCopy, textOf, writeCopy } from './copy-file.ts';
import { compare, emptyCopy, isUnchanged, type KeyCopy, type Look } from './core/compare.ts';

export interface KeyCopyEvents {
  /** Keys were put back; by their ids. */
  onRestored(keyIds: readonly string[]): void;
  /** Keys that had been removed were there again, and were removed again. */
  onRemovedAgain(keyIds: readonly string[]): void;
  /** Keys are missing, and are not put back: they may have been removed or disabled before. */
  onDoubt(keyIds: readonly string[]): void;
  /** The copy on disk cannot be read or written; what is in memory still serves. Not told again before it is well. */
  onDiskProblem(cause: string): void;
}

export interface KeyCopyOptions extends KeyCopyEvents {
  readonly redis: RedisTarget;
  /** The file of the copy. */
  readonly path: string;
  /** Whether Redis may throw records away by itself. */
  evicts(): boolean;
  /** Between two looks. Default: 5 s; a change that is published is looked at at once. */
  readonly intervalMs?: number;
}

export interface KeyCopyKeeper {
  /** Keys that are missing and not put back. */
  inDoubt(): number;
  /** For `/readyz?verbose`: `ok`, how many keys are missing, or why Redis cannot be asked. */
  found(): string;
  close(): Promise<void>;
}

const intervalMsDefault = 5_000;
/** Doubt is told when it has lasted so long. */
const againMs = 1_000;
const soonMs = 200;
const fullLookEveryMs = 10 * 60_000;
const readAttemptsMax = 3;
/** Records that are put back at once. */
const putBackMax = 500;

/** Starts keeping the copy; returns at once, whether Redis is there or not. */
export function openKeyCopy(options: KeyCopyOptions): KeyCopyKeeper {
  return new Keeper(options);
}

class Keeper implements KeyCopyKeeper {
  readonly #options: KeyCopyOptions;
  readonly #redis: RedisClient;
  readonly #subscriber: RedisClient;
  readonly #heard: ChangesHeard;
  #copy: KeyCopy = emptyCopy;
  /** Doubtful keys of the look before: another scheduler may be putting them back. */
  #doubtfulBefore: ReadonlySet<string> = new Set();
  #told: ReadonlySet<string> = new Set();
  #fullLookMs = -Infinity;
  #written = '';
  #isDiskWell = true;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #dueMs = Infinity;
  #looking: Promise<void>;

  constructor(options: KeyCopyOptions) {
    this.#options = options;
    const connection = { ...options.redis, connectionName: 'llmproxy-scheduler-keys' };
    this.#redis = connectRedis({ ...connection, commandTimeoutMs: 5_000 });
    this.#subscriber = connectRedis(connection);
    this.#heard = hearChanges(this.#subscriber, () => this.#lookIn(soonMs));
    this.#looking = this.#load().then(() => this.#lookIn(0));
  }

  inDoubt(): number {
    return this.#told.size;
  }

  found(): string {
    const { size } = this.#told;
    if (size === 0) return this.#redis.status === 'ready' ? 'ok' : checkConnection(this.#redis)();
    const missing = size === 1 ? '1 key is missing' : `${size} keys are missing`;
    return `${missing} from Redis and may have been removed or disabled before: llmproxy keys restore`;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#looking;
    this.#heard.close();
    await Promise.all([closeRedis(this.#redis), closeRedis(this.#subscriber)]);
  }

  async #load(): Promise<void> {
    const { path } = this.#options;
    try {
      this.#copy = (await readCopy(path)) ?? emptyCopy;
    } catch (cause) {
      this.#diskFails(cause);
      await rename(path, `${path}.unreadable`).catch(() => undefined);
    }
  }

  #lookIn(ms: number): void {
    const dueMs = performance.now() + ms;
    if (this.#closed || dueMs > this.#dueMs) return;
    clearTimeout(this.#timer);
    this.#dueMs = dueMs;
    this.#timer = setTimeout(() => {
      this.#dueMs = Infinity;
      this.#looking = this.#looking.then(() => this.#lookAndGoOn());
    }, ms).unref();
  }

  async #lookAndGoOn(): Promise<void> {
    if (this.#redis.status === 'ready') {
      const heard = this.#heard.take();
      // Redis is away: the connections that are told of say so.
      await this.#look(heard).catch(() => this.#heard.wasted());
    }
    const { intervalMs = intervalMsDefault } = this.#options;
    const { doubtful, latest } = this.#copy;
    // Until the latest change is known again, what is missing next could not be told from what went with it.
    const isSoon = doubtful.size > this.#told.size || latest === undefined;
    this.#lookIn(isSoon ? Math.min(againMs, intervalMs) : intervalMs);
  }

  async #look(heard: ReadonlySet<string> | undefined): Promise<void> {
    const { found, latest, heard: before } = await this.#readAtRest(heard);
    const isMissing = [...this.#copy.records.keys()].some((sha256) => !found.has(sha256));
    const all = isMissing ? await this.#allHeard(before) : before;
    const look: Look = { found, latest, heard: all, evicts: this.#options.evicts() };
    const { copy, restore, removeAgain } = compare(this.#copy, look, Date.now());
    this.#copy = copy;
    await this.#putBack(restore, all);
    await this.#takeBack(removeAgain);
    if (latest === undefined) await nameLatestChange(this.#redis);
    this.#tellDoubt();
    await this.#save();
  }

  /**
   * What is there, the latest change if that was the same meanwhile, and what was heard of before it was read. Read again
   * when it was not the same: else a store that is emptied meanwhile would have no reason to be.
   */
  async #readAtRest(heardFirst: ReadonlySet<string> | undefined): Promise<Omit<Look, 'evicts'>> {
    let heard = heardFirst;
    let before = await readChanges(this.#redis);
    for (let attempt = 1; ; attempt++) {
      const found = await this.#read(heard, before.latest);
      const after = await readChanges(this.#redis);
      const isSame = before.latest === after.latest;
      const areUnderWay = before.areUnderWay || after.areUnderWay;
      if (isSame && !areUnderWay) return { found, latest: after.latest, heard };
      if (isSame || attempt === readAttemptsMax) return { found, latest: 'unsettled', heard };
      const more = this.#heard.take();
      heard = heard && more && heard.union(more);
      before = after;
    }
  }

  /** Everything, when something changed or may have; else what the copy knows. */
  async #read(
    heard: ReadonlySet<string> | undefined,
    latest: string | undefined,
  ): Promise<Map<string, string>> {
    const isDue = performance.now() - this.#fullLookMs > fullLookEveryMs;
    const isSame = heard?.size === 0 && latest !== undefined && latest === this.#copy.latest;
    const texts: KeyText[] = [];
    if (isSame && !isDue) {
      texts.push(...(await readKeyTexts(this.#redis, [...this.#copy.records.keys()])));
    } else {
      for await (const text of scanKeyTexts(this.#redis)) texts.push(text);
      this.#fullLookMs = performance.now();
    }
    return new Map(texts.map(({ sha256, text }) => [sha256, text]));
  }

  /** With what is on its way: whoever changed a key that is missing now published it before it went. */
  async #allHeard(heard: ReadonlySet<string> | undefined): Promise<ReadonlySet<string> | undefined> {
    if (heard === undefined || !(await this.#heard.caughtUp(this.#redis))) return undefined;
    const more = this.#heard.sinceTaken();
    return more && heard.union(more);
  }

  /** What changed since the look is left as it is: whoever changed it took its place, or is heard of or seen here. */
  async #putBack(hashes: readonly string[], heard: ReadonlySet<string> | undefined): Promise<void> {
    for (let start = 0; start < hashes.length; start += putBackMax) {
      const places = await reservePlaces(this.#redis, hashes.slice(start, start + putBackMax));
      const { areUnderWay, latest } = await readChanges(this.#redis);
      const now = { latest: areUnderWay ? 'unsettled' : latest, heard: await this.#allHeard(heard) };
      const sure = places.hashes.filter((sha256) => isUnchanged(this.#copy, now, sha256));
      const texts = sure.map((sha256) => [sha256, this.#copy.records.get(sha256) ?? ''] as const);
      const restored = await places.fill(new Map(texts));
      if (restored.length > 0) this.#options.onRestored(restored.map(keyIdOfHash));
    }
  }

  async #takeBack(hashes: readonly string[]): Promise<void> {
    const removed: string[] = [];
    for (const sha256 of hashes) {
      if (await removeKeyRecord(this.#redis, sha256)) removed.push(keyIdOfHash(sha256));
    }
    if (removed.length > 0) this.#options.onRemovedAgain(removed);
  }

  #tellDoubt(): void {
    const { doubtful } = this.#copy;
    const lasting = doubtful.intersection(this.#doubtfulBefore);
    const fresh = lasting.difference(this.#told);
    this.#doubtfulBefore = doubtful;
    this.#told = lasting;
    if (fresh.size > 0) this.#options.onDoubt([...fresh].map(keyIdOfHash));
  }

  async #save(): Promise<void> {
    const oldestMs = Date.now() - removedKeptMs;
    const removed = [...this.#copy.removed].filter(([, removedAt]) => Date.parse(removedAt) > oldestMs);
    this.#copy = { ...this.#copy, removed: new Map(removed) };
    const text = textOf(this.#copy);
    if (text === this.#written) return;
    try {
      await writeCopy(this.#options.path, text);
      this.#written = text;
      this.#isDiskWell = true;
    } catch (cause) {
      this.#diskFails(cause);
    }
  }

  #diskFails(cause: unknown): void {
    if (this.#isDiskWell) this.#options.onDiskProblem(cause instanceof Error ? cause.message : String(cause));
    this.#isDiskWell = false;
  }
}
