/**
 * The scheduler process: health probes, quota resets, leases that expired.
 * `main.js --config <file> [--management-listen <host:port | unix:/path>]`
 */
import { parseArgs } from 'node:util';
import { runMain, untilToldToStop } from '@llmproxy/app-life';
import { loadConfig, requiredRedis } from '@llmproxy/config';
import { createLogger } from '@llmproxy/telemetry';
import { openScheduler } from './wiring.ts';

// Probes and sweeps under way are given up within 2 s, their queues within 2 s more, then the connections.
const endMsMax = 10_000;

async function main(): Promise<void> {
  const toldToStop = untilToldToStop(endMsMax);
  const { values: flags } = parseArgs({
    options: {
      config: { type: 'string', short: 'c', default: 'config.yaml' },
      'management-listen': { type: 'string' },
    },
  });
  const config = loadConfig(flags.config, process.env);
  const redis = requiredRedis(config, flags.config);
  const log = createLogger({ level: config.log.level, app: 'scheduler' });
  const scheduler = await openScheduler({
    config,
    redis,
    log,
    managementListen: flags['management-listen'],
  });
  const started = scheduler.start().then(() => {
    const probed = config.health_check.enabled ? config.backends.length : 0;
    log.info({ management: scheduler.management, probed }, 'scheduler ready');
    process.send?.({ ready: true });
  });
  await Promise.race([toldToStop, started.then(() => toldToStop)]);
  log.info({}, 'scheduler stops');
  await scheduler.close();
}

runMain(main);
