/** What a Redis may throw away by itself when its memory is full, and what that means for what is kept there. */

export interface Eviction {
  /** `maxmemory-policy` as the server tells it, of several the worst; undefined where it tells none. */
  readonly policy: string | undefined;
  /** Bytes; 0: no bound, and nothing is evicted whatever the policy. */
  readonly maxmemory: number;
  /** What it may evict: only what expires anyway, or anything. */
  readonly reach: 'nothing' | 'expiring' | 'anything';
}

const byReach = ['nothing', 'expiring', 'anything'] as const;

/**
 * Of one server, or of all masters of a cluster. One that does not tell its policy is taken to evict nothing.
 * @param infos answers of `INFO memory`, at least one
 */
export function evictionOf(infos: readonly string[]): Eviction {
  const worstFirst = infos
    .map(ofOne)
    .toSorted((a, b) => byReach.indexOf(b.reach) - byReach.indexOf(a.reach) || rank(b) - rank(a));
  return worstFirst[0] ?? ofOne('');
}

const rank = ({ policy }: Eviction): number => (policy === undefined || policy === 'noeviction' ? 0 : 1);

function ofOne(info: string): Eviction {
  const policy = field(info, 'maxmemory_policy');
  const maxmemory = Number(field(info, 'maxmemory') ?? 0);
  return { policy, maxmemory, reach: reachOf(policy, maxmemory) };
}

function reachOf(policy: string | undefined, maxmemory: number): Eviction['reach'] {
  if (policy === undefined || policy === 'noeviction' || maxmemory === 0) return 'nothing';
  return policy.startsWith('volatile-') ? 'expiring' : 'anything';
}

const field = (info: string, name: string): string | undefined =>
  new RegExp(`^${name}:(.+?)\\r?$`, 'm').exec(info)?.[1];

const remedy = 'Set maxmemory-policy noeviction, or redis.allow_eviction: true if that loss is acceptable';

/** Why nothing may be entrusted to such a server; undefined when it may. */
export function evictionRefusal(eviction: Eviction, allowed: boolean): string | undefined {
  if (allowed || eviction.reach !== 'anything') return undefined;
  return `Redis may evict keys, quotas and queued events (${inWords(eviction)}). ${remedy}`;
}

/** As a check of `/readyz?verbose`. */
export function evictionFound(eviction: Eviction, allowed: boolean): string {
  const { policy, reach } = eviction;
  if (policy === undefined) return 'ok; the server does not tell its maxmemory-policy';
  if (policy === 'noeviction') return 'ok';
  if (reach === 'nothing') return `ok; ${policy} evicts nothing while there is no maxmemory`;
  if (reach === 'expiring') return `ok; may evict what expires, such as rates (${inWords(eviction)})`;
  return evictionRefusal(eviction, allowed) ?? `ok; may evict anything, as is allowed (${inWords(eviction)})`;
}

const inWords = ({ policy, maxmemory }: Eviction): string =>
  `maxmemory-policy ${policy}, maxmemory ${maxmemory} bytes`;
