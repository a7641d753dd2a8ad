import { z } from 'zod';
import { count, duration, enabled, headerName, unixSocket, urlPath } from './leaves.ts';
import { Provider } from './providers.ts';

const outcome = (what: string) =>
  z
    .strictObject({
      allow: z.boolean().optional().describe('`true` lets the request through.'),
      http_code: count(400, 599).optional().describe('Status of the answer.'),
      message: z.string().min(1).optional().describe('Message of the answer.'),
    })
    .optional()
    .describe(what);

const StatusCodes = z
  .strictObject({
    active: outcome('A key that is let in; nothing but `allow: true` can be said of it.'),
    disabled: outcome('A key whose status is disabled, or unknown. Default: 403.'),
    expired: outcome('A key past its `expires_at`. Default: 403.'),
    not_started: outcome('A key before its `starts_at`. Default: 403.'),
    ip_denied: outcome('A client address the key may not come from. Default: 403.'),
    quota_exceeded: outcome('A key whose quota or balance is used up. Default: 429.'),
    not_found: outcome('A key that no provider knows, or none at all. Default: 401.'),
    model_denied: outcome('A model the key may not use. Default: 403.'),
  })
  .prefault({})
  .describe('What is answered instead of the default, per outcome.');

const FailureLimit = z
  .strictObject({
    enabled: enabled('Slow down who guesses keys.'),
    max_failures: count(1, 1_000_000)
      .default(20)
      .describe('Unknown or missing keys per client address (IPv6: per /64) within `window`.'),
    window: duration().prefault('1m').describe('In ms once loaded.'),
    block: duration()
      .prefault('1m')
      .describe('How long the address is answered 429, without asking any provider. In ms once loaded.'),
  })
  .prefault({})
  .describe('Throttling of failed authentications.');

const Lookup = z
  .strictObject({
    listen: unixSocket()
      .optional()
      .describe(
        'Socket of the process that looks keys up in SQL, as `unix:/path`; the same for it and the gateway. Default: `key-lookup.sock` in `data_dir`. An absolute path once loaded.',
      ),
  })
  .prefault({})
  .describe('Where providers of type `database` are answered.');

export const Auth = z
  .strictObject({
    enabled: enabled('Ask clients for an API key.'),
    mode: z
      .enum(['first_match', 'all'])
      .default('first_match')
      .describe(
        '`first_match`: the first provider that knows a key decides. `all`: each that knows it must let it in, and one must know it.',
      ),
    header_names: z
      .array(headerName())
      .min(1)
      .default(['Authorization', 'x-api-key', 'api-key', 'x-goog-api-key'])
      .describe(
        'Headers a key may come in, tried in this order; `Authorization` as `Bearer <key>`. None of them reaches a backend.',
      ),
    skip_paths: z.array(urlPath()).default([]).describe('Paths that begin with one of these need no key.'),
    pipeline: z
      .array(Provider)
      .prefault([])
      .describe('Sources of keys, asked in this order. Empty: one `file` provider over `api_keys`.'),
    status_codes: StatusCodes,
    failure_limit: FailureLimit,
    lookup: Lookup,
  })
  .prefault({ enabled: false })
  .describe('Who may use the gateway. Without this block everyone may.');
