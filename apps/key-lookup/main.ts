/** The key-lookup process: keys in SQL for the gateway beside it, which opens no SQL itself. */
import { runMain, untilToldToStop } from '@llmproxy/app-life';
import { ConfigError, loadConfig } from '@llmproxy/config';
import { createLogger } from '@llmproxy/telemetry';
import { keyLookupArguments } from './arguments.ts';
import { tablesOf } from './tables-of.ts';
import { openLookups } from './wiring.ts';

// As long as the slowest lookup usually takes; a sixth of the 30 s that orchestrators grant.
const closeMsMax = 5_000;
// Longer: a database that answers nothing does not take leave either.
const endMsMax = 8_000;

async function main(): Promise<void> {
  const toldToStop = untilToldToStop(endMsMax);
  const { config: path, managementListen } = keyLookupArguments(process.argv.slice(2));
  const config = loadConfig(path, process.env);
  if (tablesOf(config).size === 0) throw nothingToDo(path);
  const log = createLogger({ level: config.log.level, app: 'key-lookup' });
  const lookups = await openLookups({ config, log, managementListen });
  log.info({ socket: config.auth.lookup.listen, management: lookups.management }, 'key-lookup ready');
  process.send?.({ ready: true });
  await toldToStop;
  log.info({}, 'key-lookup stops');
  await lookups.close(closeMsMax);
}

const nothingToDo = (file: string) =>
  new ConfigError([
    {
      file,
      line: 0,
      column: 0,
      path: 'auth.pipeline',
      message: 'holds no enabled provider of type database: there is nothing to look up',
    },
  ]);

runMain(main);
