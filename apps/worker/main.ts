/** The worker process: usage events from the queue to webhooks and SQL. */
import { ConfigError, loadConfig } from '@llmproxy/config';
import { createLogger } from '@llmproxy/telemetry';
import { workerArguments } from './arguments.ts';
import { openWorker } from './wiring.ts';

// Longer than an attempt at a webhook usually takes; half of the 30 s that orchestrators grant.
const closeMsMax = 7_500;

async function main(): Promise<void> {
  const { config: path, managementListen } = workerArguments(process.argv.slice(2));
  const config = loadConfig(path, process.env);
  const redisUrl = config.redis.url;
  if (redisUrl === undefined) throw noRedis(path);
  const log = createLogger({ level: config.log.level, app: 'worker' });
  const worker = await openWorker({ config, redisUrl, log, managementListen });
  const toldToStop = untilToldToStop();
  const ready = worker.ready().then(() => {
    log.info({ management: worker.management, reporters: config.usage.reporters.length }, 'worker ready');
    process.send?.({ ready: true });
  });
  await Promise.race([toldToStop, ready.then(() => toldToStop)]);
  log.info({}, 'worker stops');
  // Connections that were cut off may keep the process alive; what is not done by now is done by the next worker.
  await worker.close(closeMsMax);
  process.exit(0);
}

/** A signal, or the end of the parent that started us. */
function untilToldToStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'disconnect']) process.once(signal, () => resolve());
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
