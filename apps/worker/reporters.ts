/** The reporters of the config as the delivery stage knows them. */
import {
  sqlTarget,
  tlsReader,
  type Config,
  type Database,
  type Reporter as ReporterConfig,
} from '@llmproxy/config';
import { databaseSchedule, webhookReporter, type Reporter } from '@llmproxy/delivery';
import { EventsRefused, openLedger, type Ledger } from '@llmproxy/ledger';
import type { Logger } from '@llmproxy/telemetry';

// Values that a database refuses are refused again; a second look is for the case that someone has just mended it.
const refusedAttemptsMax = 2;
// SQLite has one writer at a time, and a second connection to wait for is one too many for the servers' deadlocks.
const databaseWritesAtOnce = 1;

/** @throws Error when a reporter names a database that is not there, or certificates that cannot be read */
export function reportersOf(config: Pick<Config, 'usage' | 'storage'>, log: Logger): Reporter[] {
  if (!config.usage.enabled) return [];
  return config.usage.reporters.map((reporter) => reporterOf(reporter, config.storage.databases, log));
}

function reporterOf(reporter: ReporterConfig, databases: readonly Database[], log: Logger): Reporter {
  if (reporter.type === 'webhook') {
    const { url, method, timeout, retry, headers, secret, tls } = reporter.webhook;
    return webhookReporter({
      name: reporter.name,
      url,
      method,
      timeoutMs: timeout,
      attemptsMax: retry + 1,
      headers,
      secret,
      tls: tlsReader(tls),
      tell: (reason) => log.warn({ reporter: reporter.name }, reason),
    });
  }
  const { storage, table } = reporter.database;
  const database = databases.find(({ name }) => name === storage);
  if (!database) throw new Error(`reporter ${reporter.name}: no enabled database is called ${storage}`);
  const tell = (reason: string) => log.warn({ reporter: reporter.name }, reason);
  return databaseReporter(reporter.name, ledgerOf(database, table, tell));
}

function ledgerOf(database: Database, table: string, tell: (reason: string) => void): Ledger {
  if (database.driver === 'sqlite') return openLedger({ driver: 'sqlite', path: database.path, table });
  const { driver, schema } = database;
  const { tls, ...server } = sqlTarget(database);
  const target = { ...server, table, ...(tls && { tls: { ...tls, tell } }) };
  return openLedger(driver === 'postgres' ? { ...target, driver, schema } : { ...target, driver });
}

function databaseReporter(name: string, ledger: Ledger): Reporter {
  return {
    name,
    unit: 'batch',
    attemptsMax: refusedAttemptsMax,
    concurrency: databaseWritesAtOnce,
    schedule: databaseSchedule,
    deliver: (events) => ledger.insert(events),
    isAway: (cause) => !(cause instanceof EventsRefused),
    close: () => ledger.close(),
  };
}
