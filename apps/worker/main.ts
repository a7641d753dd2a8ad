/** The worker process: usage events from the queue to webhooks and SQL. */
import { runMain, untilToldToStop } from '@llmproxy/app-life';
import { loadConfig, requiredRedis } from '@llmproxy/config';
import { createLogger } from '@llmproxy/telemetry';
import { workerArguments } from './arguments.ts';
import { openWorker } from './wiring.ts';

// Longer than an attempt at a webhook usually takes; half of the 30 s that orchestrators grant.
const closeMsMax = 7_500;
// The queue and the deliveries, one after the other, and their connections.
const endMsMax = 20_000;

async function main(): Promise<void> {
  const toldToStop = untilToldToStop(endMsMax);
  const { config: path, managementListen } = workerArguments(process.argv.slice(2));
  const config = loadConfig(path, process.env);
  const redis = requiredRedis(config, path);
  const log = createLogger({ level: config.log.level, app: 'worker' });
  const worker = await openWorker({ config, redis, log, managementListen });
  const ready = worker.ready().then(() => {
    log.info({ management: worker.management, reporters: config.usage.reporters.length }, 'worker ready');
    process.send?.({ ready: true });
  });
  await Promise.race([toldToStop, ready.then(() => toldToStop)]);
  log.info({}, 'worker stops');
  // What is not done by then is done by the next worker.
  await worker.close(closeMsMax);
}

runMain(main);
