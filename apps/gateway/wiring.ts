/** What a request meets on its way: the stages, made of the config and of what the worker holds open. */
import { createBalancer } from '@llmproxy/balancing';
import type { Config } from '@llmproxy/config';
import { forward, relay } from '@llmproxy/forwarding';
import { createRouter } from '@llmproxy/routing';
import { openLogDestination, type Logger } from '@llmproxy/telemetry';
import { createAnswerScanner } from '@llmproxy/usage';
import { createAccessLog } from './access-log.ts';
import { createRead } from './ask.ts';
import { asksForUsage, outgoingFor, type PooledBackend } from './backends.ts';
import { createLimitScopes } from './limit-scopes.ts';
import { createModels } from './models.ts';
import { createAdmit } from './permit.ts';
import type { Stages } from './pipeline.ts';
import { limitRules } from './rate-limits.ts';
import { createRecord } from './record.ts';
import type { Resources } from './resources.ts';

type StageResources = Pick<Resources, 'backends' | 'health' | 'authentication' | 'limiter' | 'metrics'>;

export function buildStages(config: Config, resources: StageResources): Stages {
  const { backends, health, authentication, limiter, metrics } = resources;
  const isAvailable = (backend: PooledBackend) => health.isAvailable(backend.name);
  const nowMs = () => performance.now();
  const models = createModels({ backends, isAvailable, cacheMs: config.routing.models_cache_ttl, nowMs });
  return {
    route: createRouter(),
    authenticate: authentication.authenticate,
    read: createRead(config.server.max_body_size),
    authorize: authentication.authorize,
    admit: createAdmit({
      metrics,
      pick: createBalancer(backends, isAvailable),
      limits: limiter && { limiter, scopes: createLimitScopes(limitRules(config)) },
      defaultMaxTokens: config.rate_limit.default_max_tokens,
    }),
    forward: (inbound, { route, caller, ask, permit }) => {
      if (route.kind === 'models') return models(route.path, caller.allowedModels);
      const prepare = (backend: PooledBackend) => outgoingFor(backend, inbound, route, ask);
      return forward(inbound, { pick: (tried) => permit.backend(tried), prepare });
    },
    relay: (forwarded, inbound, { route, ask, permit: { rateHeaders } }) => {
      const { backend } = forwarded;
      const hideUsageChunk = backend !== null && asksForUsage(backend, ask);
      // A stream may stay open for minutes after its prompt has been sent for the last time.
      if (!config.usage.include_request_body) ask.payload.release();
      let scanner: ReturnType<typeof createAnswerScanner> | undefined;
      const observe = (contentType: string) =>
        (scanner = createAnswerScanner({ contentType, hideUsageChunk }));
      const options = { dialect: route.dialect, nowMs, observe, rateHeaders };
      return relay(forwarded, inbound, options).then((relayed) => ({
        relayed,
        usage: scanner?.result().usage ?? null,
      }));
    },
  };
}

export function buildRecord(config: Config, { metrics, producer }: Resources, log: Logger) {
  const { access } = config.logging;
  const output =
    access.output === 'file' && access.file ? access.file : (access.output as 'stdout' | 'stderr');
  const accessLog =
    config.logging.enabled && access.enabled
      ? createAccessLog(openLogDestination(output), access.format)
      : undefined;
  return createRecord({
    metrics,
    accessLog,
    pushEvent: producer && ((event) => producer.push(event)),
    includeRequestBody: config.usage.include_request_body,
    logFailure: (requestId, error) => {
      const cause = error.cause instanceof Error ? error.cause.message : undefined;
      log.warn({ request_id: requestId, error: error.message, cause }, 'request failed');
    },
  });
}
