/** The data plane: `main.js --config <file> [--listen <address>] [--metrics-peer <url>]…`. */
import cluster from 'node:cluster';
import { parseArgs } from 'node:util';
import { endWith } from '@llmproxy/app-life';
import { loadConfig, requiredRedis, type Config } from '@llmproxy/config';
import { syntaxProblem } from '@llmproxy/lua';
import type { RedisTarget } from '@llmproxy/redis';
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

function configOrExit(): { config: Config; redis: RedisTarget } {
  try {
    const loaded = loadConfig(flags.config, process.env, { hookProblem: syntaxProblem });
    const config = flags.listen ? { ...loaded, server: { ...loaded.server, listen: flags.listen } } : loaded;
    return { config, redis: requiredRedis(config, flags.config) };
  } catch (error) {
    return endWith(error);
  }
}

const { config, redis } = configOrExit();
const log = createLogger({ level: config.log.level, app: 'gateway' });
if (cluster.isPrimary) {
  const further = openFurtherSnapshots({
    redis,
    allowEviction: config.redis.allow_eviction,
    peers: flags['metrics-peer'],
    log,
  });
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
  process.exit(await runGatewayWorker(config, redis, log));
}
