/** Whether each provider's table can be read: learned from the lookups, and while there are none, from tries of our own. */
import { randomUUID } from 'node:crypto';
import type { KeyTables } from '@llmproxy/key-tables';
import type { Logger } from '@llmproxy/telemetry';

const retryMs = 5_000;

export interface WatchedTables {
  find: KeyTables['find'];
  /** Provider → `ok`, or why its last lookup failed. */
  states(): Record<string, string>;
  close(): void;
}

/** Looks up a key that nobody has, at once and then for as long as that fails; each change of state is logged once. */
export function watchTables(
  tables: KeyTables,
  providers: readonly string[],
  log: Pick<Logger, 'info' | 'warn'>,
): WatchedTables {
  const states = new Map(providers.map((provider) => [provider, 'not read yet']));
  const note = (provider: string, state: string): void => {
    const before = states.get(provider);
    if (before === state) return;
    states.set(provider, state);
    if (state === 'ok') log.info({ provider }, 'keys can be looked up');
    else log.warn({ provider, reason: state }, 'keys cannot be looked up');
  };
  const find: KeyTables['find'] = async (provider, key) => {
    try {
      const found = await tables.find(provider, key);
      note(provider, 'ok');
      return found;
    } catch (cause) {
      note(provider, cause instanceof Error ? cause.message : 'failed');
      throw cause;
    }
  };
  const tryAll = (): void => {
    for (const [provider, state] of states) {
      if (state !== 'ok') void find(provider, randomUUID()).catch(() => undefined);
    }
  };
  tryAll();
  const timer = setInterval(tryAll, retryMs);
  return { find, states: () => Object.fromEntries(states), close: () => clearInterval(timer) };
}
