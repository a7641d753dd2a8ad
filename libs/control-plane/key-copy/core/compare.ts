/**
 * What a look at the store means for a copy of it: which keys it has lost, and which of those may be put back. A key
 * that was removed or disabled while nobody looked must never come back as it was: whatever is not certain is doubt.
 */
import { isRemovedText, keyIdOfHash } from '@llmproxy/key-store';

/** All that is known of the store. Hashes are SHA-256 of keys, 64 hex digits. */
export interface KeyCopy {
  /** The latest change when everything was read; undefined: the store was never read at rest. */
  readonly latest: string | undefined;
  /** Hash → the text of the record. */
  readonly records: ReadonlyMap<string, string>;
  /** Hash → when it was seen to be removed, RFC 3339. */
  readonly removed: ReadonlyMap<string, string>;
  /** Hashes of records that are missing, and may have been removed or changed before they went. */
  readonly doubtful: ReadonlySet<string>;
}

export const emptyCopy: KeyCopy = {
  latest: undefined,
  records: new Map(),
  removed: new Map(),
  doubtful: new Set(),
};

export interface Look {
  /** Hash → what lies there: of all keys, or at least of those that the copy knows. */
  readonly found: ReadonlyMap<string, string>;
  /** The latest change, the same before and after reading; `unsettled` while one is under way. */
  readonly latest: string | undefined | 'unsettled';
  /** Keys that changed since the last look, by their ids; undefined where that may not be all of them. */
  readonly heard: ReadonlySet<string> | undefined;
  /** Whether the server throws records away by itself. */
  readonly evicts: boolean;
}

export interface Compared {
  readonly copy: KeyCopy;
  /** Lost, and not changed by anybody since they were read. */
  readonly restore: readonly string[];
  /** Removed, and there again: a failover has lost the removal, or somebody put an old dump back. */
  readonly removeAgain: readonly string[];
}

/** @param nowMs when the look was made, unix time */
export function compare(copy: KeyCopy, look: Look, nowMs: number): Compared {
  const next = {
    records: new Map(copy.records),
    removed: new Map(copy.removed),
    doubtful: new Set(copy.doubtful),
  };
  const removeAgain: string[] = [];
  for (const [sha256, text] of look.found) {
    next.doubtful.delete(sha256);
    const isRemoved = isRemovedText(text);
    if (isRemoved) next.records.delete(sha256);
    else if (copy.removed.has(sha256)) removeAgain.push(sha256);
    else next.records.set(sha256, text);
    if (isRemoved && !next.removed.has(sha256)) next.removed.set(sha256, new Date(nowMs).toISOString());
  }
  const restore: string[] = [];
  for (const sha256 of newlyMissing(copy, look)) {
    if (isUnchanged(copy, look, sha256) && isLoss(copy, look)) restore.push(sha256);
    else next.doubtful.add(sha256);
  }
  const latest = look.latest === 'unsettled' ? copy.latest : look.latest;
  return { copy: { ...next, latest }, restore, removeAgain };
}

const newlyMissing = ({ records, doubtful }: KeyCopy, { found }: Look): string[] =>
  [...records.keys()].filter((sha256) => !found.has(sha256) && !doubtful.has(sha256));

/** Nobody has changed any key since it was read, or everything that was changed was heard of and this was not among it. */
export function isUnchanged(copy: KeyCopy, look: Pick<Look, 'latest' | 'heard'>, sha256: string): boolean {
  if (isSame(copy, look)) return true;
  return look.heard !== undefined && !look.heard.has(keyIdOfHash(sha256));
}

/** A reason why the store lost it. Without one somebody may have deleted it by hand, who will have meant it. */
function isLoss(copy: KeyCopy, look: Look): boolean {
  if (look.evicts) return true;
  if (look.latest === undefined) return copy.latest !== undefined; // which went with it
  // The latest change is another one although none was heard of: the store was emptied.
  return look.heard?.size === 0 && look.latest !== 'unsettled' && look.latest !== copy.latest;
}

const isSame = (copy: KeyCopy, look: Pick<Look, 'latest'>): boolean =>
  copy.latest !== undefined && copy.latest === look.latest;
