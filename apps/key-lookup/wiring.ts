/** The parts put together: socket → tables → databases. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '@llmproxy/config';
import { serveKeyLookups } from '@llmproxy/key-lookup-socket';
import { openKeyTables } from '@llmproxy/key-tables';
import { serveManagement, watchEventLoopLag, type Logger } from '@llmproxy/telemetry';
import { Registry } from 'prom-client';
import { countLookups } from './metrics.ts';
import { watchTables } from './provider-states.ts';
import { databasesOf, tablesOf } from './tables-of.ts';

export interface Lookups {
  /** Address of the probes and metrics; undefined when they are not served. */
  management: string | undefined;
  /** Takes no more lookups and finishes those under way, at most `deadlineMs`. */
  close(deadlineMs: number): Promise<void>;
}

export interface LookupsOptions {
  config: Pick<Config, 'auth' | 'storage'>;
  log: Logger;
  managementListen?: string | undefined;
}

/** @throws Error when another process answers on the socket, or an address cannot be listened on */
export async function openLookups({ config, log, managementListen }: LookupsOptions): Promise<Lookups> {
  const registry = new Registry();
  watchEventLoopLag(registry);
  const tables = tablesOf(config);
  const keyTables = openKeyTables({ databases: databasesOf(config, log), tables });
  const watched = watchTables(keyTables, [...tables.keys()], log);

  const socketPath = config.auth.lookup.listen;
  mkdirSync(dirname(socketPath), { recursive: true });
  const server = await serveKeyLookups({
    socketPath,
    providers: new Set(tables.keys()),
    find: countLookups(registry, watched.find),
  });
  // A database that is away does not make this process unready: in one pod with the gateway that would take away, with
  // it, all the keys that other providers know.
  const management =
    managementListen === undefined
      ? undefined
      : await serveManagement({
          listen: managementListen,
          ready: () => ({ ok: true, checks: watched.states() }),
          metrics: () => registry.metrics(),
          snapshot: () => registry.getMetricsAsJSON(),
        });
  return {
    management: management?.address,
    close: async (deadlineMs) => {
      watched.close();
      await server.close(deadlineMs);
      await management?.close();
      await keyTables.close();
    },
  };
}
