/** One gateway worker process: listens, serves, and on SIGTERM, or at the end of its primary, drains. */
import cluster from 'node:cluster';
import type { Config } from '@llmproxy/config';
import type { Inbound } from '@llmproxy/exchange';
import type { RedisTarget } from '@llmproxy/redis';
import {
  asksForChecks,
  probeAnswer,
  type Logger,
  type MetricsSnapshot,
  type Readiness,
} from '@llmproxy/telemetry';
import type { Checks } from './core/merge-checks.ts';
import { PendingAnswers, type ToPrimary, type ToWorker } from './ipc.ts';
import { createGatewayServer } from './server.ts';
import { openResources, type Resources } from './resources.ts';
import { buildRecord, buildStages } from './wiring.ts';

const metricsTimeoutMs = 5_000;
/** Longer than the primary waits for the other workers. */
const checksTimeoutMs = 2_000;

// All parts together; shorter than what the primary grants after the drain.
const closingMsMax = 8_000;

/** The primary may have gone: then nobody is there to hear it. */
const tell = (message: ToPrimary): void => {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
};

/**
 * Serves until told to stop, then drains; resolves with the exit code when all is closed: 1 when something could not be.
 * From the moment it was told to, the process ends after `drain_timeout` and some seconds whatever hangs.
 */
export async function runGatewayWorker(config: Config, redis: RedisTarget, log: Logger): Promise<number> {
  const stop = untilStopped(config.server.drain_timeout, log);
  const resources = await openResources(config, redis, log);
  await serveUntil(stop, { config, resources, log });
  const left = await resources.close();
  if (left.length === 0) return 0;
  log.warn({ left }, 'not closed in time; ending without');
  return 1;
}

interface Serving {
  config: Config;
  resources: Resources;
  log: Logger;
}

async function serveUntil(stop: Promise<void>, { config, resources, log }: Serving): Promise<void> {
  const metricsTexts = new PendingAnswers<string>();
  const allChecks = new PendingAnswers<Checks>();
  process.on('message', (message: ToWorker) => void receive(message, resources, { metricsTexts, allChecks }));
  const server = createGatewayServer({
    settings: {
      readTimeoutMs: config.server.read_timeout,
      idleTimeoutMs: config.server.idle_timeout,
      headerBytesMax: config.server.max_header_bytes,
    },
    stages: buildStages(config, resources),
    record: buildRecord(config, resources, log),
    recordBadRequest: (error) => {
      resources.metrics.badRequest(error.code);
      if (error.row.blame === 'gateway') log.error({ err: error.cause }, 'request met a bug of the gateway');
    },
    serveProbe: createServeProbe(config, {
      ready: () => ({ ok: !server.draining, checks: { draining: server.draining ? 'yes' : 'ok' } }),
      checks: async () => {
        const ask = (id: number) => tell({ kind: 'all-checks-wanted', id });
        return (await allChecks.ask(ask, checksTimeoutMs)) ?? resources.checks();
      },
      metrics: () => metricsTexts.ask((id) => tell({ kind: 'metrics-wanted', id }), metricsTimeoutMs),
    }),
  });
  try {
    tell({ kind: 'listening', address: await server.listen(config.server.listen) });
  } catch (error) {
    tell({ kind: 'failed-to-start', message: listenFailure(config.server.listen, error) });
    return;
  }
  await stop;
  await server.drain(config.server.drain_timeout);
}

function untilStopped(drainTimeoutMs: number, log: Logger): Promise<void> {
  // Node would end a worker at once whose primary is gone, and with it what is open and what is not yet recorded.
  if (cluster.worker) cluster.worker.exitedAfterDisconnect = true;
  return new Promise((resolve) => {
    const stop = (): void => {
      const endMs = drainTimeoutMs + closingMsMax;
      setTimeout(() => {
        log.error({ waitedMs: endMs }, 'still not closed; ending anyway');
        process.exit(1);
      }, endMs).unref();
      resolve();
    };
    process.once('SIGTERM', stop);
    process.on('SIGTERM', () => undefined); // a second one is for the primary to judge
    process.on('SIGINT', () => undefined); // a terminal's Ctrl-C reaches us too; the primary decides
    process.once('disconnect', stop);
  });
}

function listenFailure(address: string, error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE') {
    return `cannot listen on ${address}: another program already does. Stop it, or take another port: server.listen, or --listen.`;
  }
  if (code === 'EACCES')
    return `cannot listen on ${address}: not permitted. Ports below 1024 need privileges.`;
  return `cannot listen on ${address}: ${error instanceof Error ? error.message : String(error)}`;
}

/** What the primary was asked for. */
interface Asked {
  metricsTexts: PendingAnswers<string>;
  allChecks: PendingAnswers<Checks>;
}

async function receive(message: ToWorker, { registry, checks }: Resources, asked: Asked): Promise<void> {
  switch (message.kind) {
    case 'metrics-text':
      return asked.metricsTexts.answer(message.id, message.text);
    case 'all-checks':
      return asked.allChecks.answer(message.id, message.checks);
    case 'checks':
      return tell({ kind: 'checks', id: message.id, checks: checks() });
    case 'snapshot': {
      const snapshot = (await registry.getMetricsAsJSON()) as MetricsSnapshot;
      return tell({ kind: 'snapshot', id: message.id, snapshot });
    }
    default:
      message satisfies never;
  }
}

interface ProbeSources {
  ready(): Readiness;
  /** How the users of Redis in all workers fare; never rejects. */
  checks(): Promise<Checks>;
  metrics(): Promise<string | undefined>;
}

/** Probes and metrics on the clients' listener; with `management.listen` only `/health` and `/livez` stay there. */
function createServeProbe(config: Config, sources: ProbeSources) {
  const facesClients = config.management.listen === undefined;
  const isProbe = (path: string) => facesClients || path === '/health' || path === '/livez';
  const isMetrics = (path: string) => facesClients && config.metrics.enabled && path === config.metrics.path;
  return (inbound: Inbound): boolean => {
    const { target } = inbound;
    if (target.startsWith('/v1/')) return false;
    const path = target.split('?', 1)[0] ?? '';
    if (isProbe(path) && asksForChecks(target)) {
      void sources.checks().then((checks) => answerProbe(inbound, sources, checks));
      return true;
    }
    if (isProbe(path) && answerProbe(inbound, sources)) return true;
    if (!isMetrics(path)) return false;
    void sources.metrics().then((text) => {
      const known = text ?? 'metrics could not be collected in time\n';
      answerText(inbound, text === undefined ? 503 : 200, 'text/plain; version=0.0.4; charset=utf-8', known);
    });
    return true;
  };
}

function answerProbe(inbound: Inbound, { ready }: ProbeSources, further?: Checks): boolean {
  const probe = probeAnswer(inbound.target, ready, further);
  if (probe === undefined) return false;
  answerText(inbound, probe.status, 'text/plain; charset=utf-8', probe.text);
  return true;
}

function answerText({ reply, requestId }: Inbound, status: number, contentType: string, text: string): void {
  const length = String(Buffer.byteLength(text));
  reply.head(status, ['content-type', contentType, 'content-length', length, 'x-request-id', requestId]);
  reply.end(text);
}
