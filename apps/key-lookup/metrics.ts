import type { KeyTables } from '@llmproxy/key-tables';
import { Counter, Histogram, type Registry } from 'prom-client';

/** Counts and times the lookups that pass through. */
export function countLookups(registry: Registry, find: KeyTables['find']): KeyTables['find'] {
  const registers = [registry];
  const lookups = new Counter({
    name: 'llmproxy_key_lookups_total',
    help: 'Keys looked up in SQL, by provider and by outcome: found, unknown, failed.',
    labelNames: ['provider', 'outcome'],
    registers,
  });
  const seconds = new Histogram({
    name: 'llmproxy_key_lookup_seconds',
    help: 'Time of a lookup in SQL, waiting for a connection included.',
    labelNames: ['provider'],
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
    registers,
  });
  return async (provider, key) => {
    const stop = seconds.startTimer({ provider });
    let outcome = 'failed';
    try {
      const found = await find(provider, key);
      outcome = found === undefined ? 'unknown' : 'found';
      return found;
    } finally {
      stop();
      lookups.inc({ provider, outcome });
    }
  };
}
