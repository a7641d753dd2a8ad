/** For specs: a gateway on a free port, made of the real stages from a real config; only Redis is left out. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { loadConfig } from '@llmproxy/config';
import { createLogger } from '@llmproxy/telemetry';
import type { UsageEvent } from '@llmproxy/usage-queue';
import { createAccessLog, type AccessEntry } from './access-log.ts';
import { openAuthentication } from './authentication.ts';
import { backendSettings, openBackends } from './backends.ts';
import { createGatewayMetrics } from './gateway-metrics.ts';
import { createRecord } from './record.ts';
import { createGatewayServer } from './server.ts';
import { buildStages } from './wiring.ts';

/** Settings of the config file, as a user writes them; without `auth` the gateway asks for no key. */
export interface SpecGatewayOptions {
  backends: readonly ({ url: string } & Record<string, unknown>)[];
  settings?: Record<string, unknown>;
  accessFormat?: 'json' | 'combined';
  /** Default: every backend is well. */
  isAvailable?: (backend: string) => boolean;
}

export interface SpecGateway extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Usage events in the order in which their requests finished. */
  readonly events: readonly UsageEvent[];
  readonly accessLines: readonly string[];
  readonly failures: readonly Error[];
  /** Resolves with the entries of the access log once there are so many. */
  accessed(count: number): Promise<AccessEntry[]>;
  metricsText(): Promise<string>;
  drain(timeoutMs: number): Promise<void>;
}

const log = createLogger({ level: 'error', app: 'spec' });

/** Starts it. `accessed` reads the access log, so it needs the format `json`. */
export async function startSpecGateway(options: SpecGatewayOptions): Promise<SpecGateway> {
  const config = configOf(options);
  const backends = openBackends(backendSettings(config), config.auth.header_names);
  const isAvailable = options.isAvailable ?? (() => true);
  const registry = new Registry();
  const metrics = createGatewayMetrics({
    registry,
    latencyBucketsMs: config.metrics.latency_buckets,
    backends,
    isAvailable: ({ name }) => isAvailable(name),
    pendingEvents: () => 0,
  });
  const { log: told, record } = recorder(
    options.accessFormat ?? 'json',
    metrics,
    config.usage.include_request_body,
  );
  const health = { isAvailable, found: () => 'ok', close: () => undefined };
  const authentication = openAuthentication(config, log);
  const resources = { backends, health, authentication, limiter: undefined, metrics };
  const server = createGatewayServer({
    settings: {
      readTimeoutMs: config.server.read_timeout,
      idleTimeoutMs: config.server.idle_timeout,
      headerBytesMax: config.server.max_header_bytes,
    },
    stages: buildStages(config, resources),
    serveProbe: () => false,
    record,
    recordBadRequest: (error) => metrics.badRequest(error.code),
  });
  const url = await server.listen('127.0.0.1:0');
  const drain = (timeoutMs: number) => server.drain(timeoutMs);
  return {
    ...told,
    url,
    port: Number(new URL(url).port),
    metricsText: () => registry.metrics(),
    drain,
    async [Symbol.asyncDispose]() {
      await Promise.all(backends.map(({ forwarder }) => forwarder.close()));
      await drain(0);
    },
  };
}

function configOf({ backends, settings = {} }: SpecGatewayOptions) {
  const folder = mkdtempSync(join(tmpdir(), 'llmproxy-spec-'));
  try {
    const path = join(folder, 'config.json');
    writeFileSync(path, JSON.stringify({ auth: { enabled: false }, backends, ...settings }));
    return loadConfig(path, {});
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function recorder(
  format: 'json' | 'combined',
  metrics: ReturnType<typeof createGatewayMetrics>,
  includeRequestBody: boolean,
) {
  const events: UsageEvent[] = [];
  const accessLines: string[] = [];
  const failures: Error[] = [];
  const waiting = new Set<() => void>();
  const destination = {
    write: (line: string) => {
      accessLines.push(line);
      for (const wake of waiting) wake();
    },
    flushSync: () => undefined,
    reopen: () => undefined,
  };
  const accessed = async (count: number) => {
    while (accessLines.length < count) {
      await new Promise<void>((resolve) => waiting.add(resolve));
    }
    await Promise.resolve(); // the line is written first, then the event
    return accessLines.slice(0, count).map((line) => JSON.parse(line) as AccessEntry);
  };
  const record = createRecord({
    metrics,
    accessLog: createAccessLog(destination, format),
    pushEvent: (event) => events.push(event),
    includeRequestBody,
    logFailure: (_, error) => failures.push(error),
  });
  return { log: { events, accessLines, failures, accessed }, record };
}
