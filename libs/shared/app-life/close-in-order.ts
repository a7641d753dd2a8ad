import { setTimeout as delay } from 'node:timers/promises';

/** Something that a process holds open. */
export interface Part {
  /** For people. */
  readonly name: string;
  close(): unknown;
}

/**
 * Closes one part after the other. One that takes longer than `partMsMax` is left as it is: a server that accepts
 * everything and answers nothing must not keep a process from ending.
 * @returns the parts that are not closed, each with why; none when all is well
 */
export async function closeInOrder(parts: readonly Part[], partMsMax: number): Promise<string[]> {
  const left: string[] = [];
  for (const part of parts) {
    const found = await closed(part, partMsMax);
    if (found !== 'ok') left.push(`${part.name}: ${found}`);
  }
  return left;
}

async function closed(part: Part, ms: number): Promise<string> {
  const done = new AbortController();
  const late = delay(ms, `not closed within ${ms} ms`, { signal: done.signal });
  late.catch(() => undefined);
  try {
    const closing = async () => {
      await part.close();
      return 'ok';
    };
    return await Promise.race([closing(), late]);
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  } finally {
    done.abort();
  }
}
