/** The scheduler process: health probes. `main.js --config <file> [--management-listen <host:port | unix:/path>]`. */
import { parseArgs } from 'node:util';
import { ConfigError, loadConfig } from '@llmproxy/config';
import { createLogger } from '@llmproxy/telemetry';
import { openScheduler } from './wiring.ts';

async function main(): Promise<void> {
  const toldToStop = untilToldToStop(); // from the first moment on: a parent that has gone does not say so twice
  const { values: flags } = parseArgs({
    options: {
      config: { type: 'string', short: 'c', default: 'config.yaml' },
      'management-listen': { type: 'string' },
    },
  });
  const config = loadConfig(flags.config, process.env);
  const redisUrl = config.redis.url;
  if (redisUrl === undefined) throw noRedis(flags.config);
  const log = createLogger({ level: config.log.level, app: 'scheduler' });
  const scheduler = await openScheduler({
    config,
    redisUrl,
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
  process.exit(0);
}

/** A signal, or the end of the parent that started us. */
function untilToldToStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ['SIGTERM', 'SIGINT', 'disconnect']) process.once(event, () => resolve());
  });
}

const noRedis = (file: string) =>
  new ConfigError([
    { file, line: 0, column: 0, path: 'redis.url', message: 'is not set; set it, or LLMPROXY_REDIS_URL' },
  ]);

main().catch((cause: unknown) => {
  process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`);
  process.exit(cause instanceof ConfigError ? 78 : 1); // EX_CONFIG
});
