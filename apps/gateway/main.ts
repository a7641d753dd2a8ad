/** The data plane: `main.js --config <file> [--listen <address>] [--metrics-peer <url>]…`. */
import cluster from 'node:cluster';
import { parseArgs } from 'node:util';
import { ConfigError, loadConfig, type Config } from '@llmproxy/config';
import { createLogger } from '@llmproxy/telemetry';
import { runGatewayWorker } from './gateway-worker.ts';
import { openFurtherSnapshots } from './further-snapshots.ts';
import { runPrimary } from './primary.ts';

const { values: flags } = parseArgs({
  options: {
    config: { type: 'string', short: 'c', default: 'config.yaml' },
    listen: { type: 'string' },
    'metrics-peer': { type: 'string', multiple: true, default: [] },
  },
});

function configOrExit(): { config: Config; redisUrl: string } {
  try {
    const loaded = loadConfig(flags.config, process.env);
    const config = flags.listen ? { ...loaded, server: { ...loaded.server, listen: flags.listen } } : loaded;
    const redisUrl = config.redis.url;
    if (redisUrl !== undefined) return { config, redisUrl };
    console.error(
      'redis.url is not set: the gateway shares its state in Redis. Set it, or LLMPROXY_REDIS_URL.',
    );
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
  }
  return process.exit(78); // EX_CONFIG
}

const { config, redisUrl } = configOrExit();
const log = createLogger({ level: config.log.level, app: 'gateway' });
if (cluster.isPrimary) {
  const further = openFurtherSnapshots({ redisUrl, peers: flags['metrics-peer'], log });
  const code = await runPrimary({
    workers: config.server.workers,
    drainTimeoutMs: config.server.drain_timeout,
    management: {
      listen: config.management.listen,
      metricsPath: config.metrics.enabled ? config.metrics.path : undefined,
    },
    furtherSnapshots: () => further.collect(),
    log,
  });
  further.close();
  process.exit(code);
} else {
  await runGatewayWorker(config, redisUrl, log);
  process.exit(0);
}
