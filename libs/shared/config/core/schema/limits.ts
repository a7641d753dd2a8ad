/** What may be limited, and where: the same settings for the whole gateway, a key, an address and a backend. */
import { z } from 'zod';
import { count, duration, enabled, timeZone } from './leaves.ts';

const most = 1_000_000_000;

const burst = 'Requests that may come at once before `requests_per_second` counts. Default: twice that.';

/** @param nothing what an unset setting means */
const limitSettings = (least: 0 | -1, nothing: string) => ({
  requests_per_second: rate(least)
    .optional()
    .describe(`Requests per second, also below 1. ${nothing}; 0 blocks everything.`),
  burst_size: count(0, most).optional().describe(burst),
  requests_per_minute: count(least, most)
    .optional()
    .describe(`Requests within any 60 s. ${nothing}; 0 blocks everything.`),
  tokens_per_minute: count(least, 1_000_000_000_000)
    .optional()
    .describe(`Prompt and answer tokens within any 60 s. ${nothing}; 0 blocks everything.`),
  max_concurrent: count(least, most)
    .optional()
    .describe(`Requests under way at once, streams to their end. ${nothing}; 0 blocks everything.`),
});

const rate = (least: 0 | -1) =>
  z
    .number()
    .min(least)
    .max(most)
    .refine((perSecond) => perSecond >= 0 || perSecond === -1, { error: 'must be at least 0, or -1' });

/** Limits of one key or one backend, over those of all. */
export const Limits = z.strictObject(limitSettings(-1, 'Unset: as for all; -1: unlimited'));
export type Limits = z.output<typeof Limits>;

/** The spelling of master keys. */
export const KeyRate = z.strictObject({
  requests_per_second: rate(0).describe('Requests per second; 0 blocks everything.'),
  burst_size: count(0, most).optional().describe(burst),
});

const modes = ['enforce', 'shadow'] as const;
const mode = () =>
  z
    .enum(modes)
    .default('enforce')
    .describe('`shadow`: what would be refused is counted and logged, and let through.');

const scope = (what: string) =>
  z
    .strictObject({ enabled: enabled(what), mode: mode(), ...limitSettings(0, 'Unset: unlimited') })
    .prefault({});

export const RateLimit = z
  .strictObject({
    enabled: enabled('Count and enforce limits and quotas.'),
    storage: z
      .enum(['redis'])
      .default('redis')
      .describe('Where is counted: in Redis, exact across every gateway and worker.'),
    on_redis_failure: z
      .enum(['local', 'allow', 'deny'])
      .default('local')
      .describe(
        'While Redis is slow or gone: `local` counts in each worker, against its share of what Redis said last to be left of every limit, and tells Redis afterwards; `allow` lets everything through; `deny` answers 503.',
      ),
    redis_timeout: duration()
      .prefault('100ms')
      .describe(
        'How long a request waits for Redis before `on_redis_failure` applies: at least this, and three times what 99 of 100 calls of the last minute took, up to a second. In ms once loaded.',
      ),
    time_zone: timeZone().default('UTC').describe('Where the days, weeks and months of quotas begin.'),
    default_max_tokens: count(0, 100_000_000)
      .default(1024)
      .describe(
        'Tokens set aside for the answer to a request that names no maximum; what was really used replaces them.',
      ),
    global: scope('Limit all requests together.').describe('All requests together.'),
    per_key: scope('Limit each key on its own.').describe(
      'Each key on its own. Limits of a key replace the same settings here.',
    ),
    per_ip: scope('Limit each client address on its own.').describe(
      'Each client address on its own; see `server.trusted_proxies`.',
    ),
    per_backend: scope('Limit each backend on its own.').describe(
      'Each backend on its own; one that is full is passed over. `backends[].limits` replace the same settings here.',
    ),
    quota: z.strictObject({ mode: mode() }).prefault({}).describe('Token quotas of keys.'),
  })
  .prefault({})
  .describe(
    'Rate limits. Without this block nothing is limited but keys and backends that bring limits of their own.',
  );
