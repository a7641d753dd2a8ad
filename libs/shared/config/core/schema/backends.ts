import { z } from 'zod';
import {
  count,
  duration,
  enabled,
  headerMap,
  headerName,
  headerValue,
  httpUrl,
  name,
  urlPath,
} from './leaves.ts';
import { Limits } from './limits.ts';

/** The base without what requests bring along themselves: a trailing slash, and `/v1`. */
const withoutV1 = (url: string): string =>
  new URL(url).href.replace(/\/+$/, '').replace(/\/v1$/, '').replace(/\/+$/, '');

const backendUrl = httpUrl()
  .refine((url) => !URL.canParse(url) || new URL(url).search === '', {
    error: 'a base URL has no query: requests bring their own',
  })
  .refine((url) => !URL.canParse(url) || `${new URL(url).username}${new URL(url).password}` === '', {
    error: 'put the credential in api_key or auth, not in the URL',
  })
  .transform(withoutV1);

const BackendAuth = z
  .strictObject({
    type: z
      .enum(['bearer', 'header'])
      .describe('`bearer` sends `Authorization: Bearer <value>`, `header` sends `<header>: <value>`.'),
    header: headerName().optional().describe('Name of the header, with type `header` only.'),
    value: headerValue().describe('The credential. Better `${ENV}` than plain text.'),
  })
  .describe('The credential, when it is not a bearer token. Not together with `api_key`.');

const Backend = z
  .strictObject({
    name: name()
      .optional()
      .describe('Unique name, used in metrics, logs and usage events. Default: `host:port` of the URL.'),
    url: backendUrl.describe(
      'Base URL, http or https, with or without a path. Requests keep their `/v1/…` path, so a trailing `/v1` or `/` is dropped.',
    ),
    weight: count(1, 1_000_000).default(1).describe('Share of the requests, relative to the other backends.'),
    timeout: duration()
      .prefault('600s')
      .describe(
        'Longest wait for the head of the answer; a stream may then go on for as long as it likes. In ms once loaded.',
      ),
    connect_timeout: duration().prefault('5s').describe('Longest wait for a connection. In ms once loaded.'),
    headers: headerMap()
      .default({})
      .describe('Headers set on every request to this backend, replacing those of the client.'),
    api_key: headerValue()
      .optional()
      .describe('Credential sent as `Authorization: Bearer …`. Better `${ENV}` than plain text.'),
    auth: BackendAuth.optional(),
    include_usage: z
      .boolean()
      .default(true)
      .describe(
        'Ask streams of the OpenAI dialect for their usage chunk; it is hidden from clients that did not ask.',
      ),
    limits: Limits.optional().describe(
      'Limits of this backend. Each replaces the same setting of `rate_limit.per_backend`; a `requests_per_second` brings its own burst.',
    ),
  })
  .describe('One LLM server.');

export const Backends = z.array(Backend).min(1).describe('The LLM servers behind the gateway; at least one.');

export const Routing = z
  .strictObject({
    load_balance: z
      .enum(['round_robin', 'weighted'])
      .default('round_robin')
      .describe('How a backend is picked. Both are smooth weighted round robin over the healthy backends.'),
    models_cache_ttl: duration('zero is allowed')
      .prefault('10s')
      .describe(
        'How long the merged answer of `/v1/models` is kept; `0s` asks the backends every time. In ms once loaded.',
      ),
  })
  .prefault({})
  .describe('Which backend gets a request.');

export const HealthCheck = z
  .strictObject({
    enabled: enabled('Probe the backends.'),
    interval: duration()
      .prefault('30s')
      .describe('Pause between two probes of one backend. In ms once loaded.'),
    timeout: duration().prefault('5s').describe('Longest wait for the answer to a probe. In ms once loaded.'),
    method: z.enum(['GET', 'HEAD', 'POST', 'OPTIONS']).default('GET').describe('HTTP method of a probe.'),
    path: urlPath()
      .default('/health')
      .describe('Path of a probe, appended to the base URL. Ollama: `/api/tags`.'),
    expected_status: count(100, 599).default(200).describe('The one status that counts as success.'),
    unhealthy_threshold: count(1, 1000)
      .default(3)
      .describe('Failures in a row until a backend gets no more requests.'),
    healthy_threshold: count(1, 1000).default(2).describe('Successes in a row until it gets requests again.'),
    jitter: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe('Random part of the interval, 0 to 1, so that probes of many backends spread out.'),
  })
  .prefault({ enabled: false })
  .describe(
    'Probing of the backends. Without this block nothing is probed and every backend counts as healthy.',
  );
