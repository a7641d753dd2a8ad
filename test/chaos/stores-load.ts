/** A steady load on several gateways that knows the fate of each of its requests. */
import { fetchText } from '../e2e/harness/http-client.ts';

const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
const windowMs = 60_000;

/** One request that was admitted: it shall have one row. */
export interface Admitted {
  readonly id: string;
  readonly key: string;
  /** On the monotonic clock of this process. */
  readonly sentMs: number;
}

export interface StoresLoad {
  readonly admitted: readonly Admitted[];
  /** Answered 429. */
  readonly refused: number;
  /** Anything else but 200, and connections that broke: by what was found, how often. */
  readonly failures: ReadonlyMap<string, number>;
  /** Sends no more; resolves when all is answered. */
  stop(): Promise<void>;
}

/** Sends so many requests per second, whether earlier ones are answered or not, to `next()` and with each key in turns. */
export function startLoad(next: () => string, perSecond: number, keys: readonly string[]): StoresLoad {
  const admitted: Admitted[] = [];
  const failures = new Map<string, number>();
  const open = new Set<Promise<void>>();
  let refused = 0;
  let count = 0;
  const fails = (found: string): void => void failures.set(found, (failures.get(found) ?? 0) + 1);
  const send = async (): Promise<void> => {
    const id = `chaos-${(count += 1)}`;
    const key = keys[count % keys.length] ?? '';
    const sentMs = performance.now();
    const headers = { authorization: `Bearer ${key}`, 'x-request-id': id };
    try {
      const { status } = await fetchText(next(), '/v1/chat/completions', { body, headers });
      if (status === 200) admitted.push({ id, key, sentMs });
      else if (status === 429) refused += 1;
      else fails(`status ${status}`);
    } catch (cause) {
      fails(cause instanceof Error ? cause.message : String(cause));
    }
  };
  const timer = setInterval(() => {
    const one: Promise<void> = send().finally(() => open.delete(one));
    open.add(one);
  }, 1_000 / perSecond);
  return {
    admitted,
    get refused() {
      return refused;
    },
    failures,
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
    },
  };
}

/** The most requests admitted in any 60 s. */
export function mostInAMinute(admitted: readonly Admitted[]): number {
  const sent = admitted.map(({ sentMs }) => sentMs).toSorted((a, b) => a - b);
  let most = 0;
  let first = 0;
  for (const [last, sentMs] of sent.entries()) {
    while ((sent[first] ?? sentMs) <= sentMs - windowMs) first += 1;
    most = Math.max(most, last - first + 1);
  }
  return most;
}
