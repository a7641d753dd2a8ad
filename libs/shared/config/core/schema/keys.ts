import { z } from 'zod';
import { addressRange, count, instant } from './leaves.ts';
import { KeyRate, Limits } from './limits.ts';

/** The documented integers of a key's status, by index. */
const statusByInt = ['active', 'disabled', 'quota_exceeded', 'expired'] as const;
const noStatus = 'expected one of active, enabled, disabled, expired, quota_exceeded, or 0 to 3';

const keyStatus = z
  .union([z.enum(['active', 'enabled', 'disabled', 'expired', 'quota_exceeded']), z.int().min(0).max(3)], {
    error: (issue) => (issue.input === null ? undefined : noStatus),
  })
  .transform((status) => {
    if (typeof status === 'number') return statusByInt[status] ?? 'disabled';
    return status === 'enabled' ? 'active' : status;
  });

const noModel = 'expected the name of a model; * stands for any text, at the end only';
const modelPattern = z
  .string()
  .regex(/^[^*\s][^*]*\*?$|^\*$/, { error: noModel })
  .max(256);

const identity = {
  key: z
    .string()
    .min(8)
    .regex(/^[!-~]+$/, { error: 'a key holds printable ASCII without spaces only' })
    .describe('The API key that clients present, at least 8 characters. Better `${ENV}` than plain text.'),
  name: z.string().optional().describe('A label for people.'),
  user_id: z.string().optional().describe('Whom the usage is booked to; part of every usage event.'),
};

const validity = {
  status: keyStatus
    .prefault('active')
    .describe(
      '`active` (or `enabled`, 0), `disabled` (1), `quota_exceeded` (2) or `expired` (3). Only active keys are let in.',
    ),
  starts_at: instant()
    .optional()
    .describe('When the key becomes valid: RFC 3339 or unix seconds. In ms since 1970 once loaded.'),
  expires_at: instant()
    .optional()
    .describe(
      'When it stops being valid: RFC 3339, unix seconds, or null for never. In ms since 1970 once loaded.',
    ),
  denied_ips: z
    .array(addressRange())
    .default([])
    .describe('Client addresses that are refused, whatever `allowed_ips` says.'),
  allowed_ips: z
    .array(addressRange())
    .default([])
    .describe('The only client addresses that are let in. Empty: all.'),
  allowed_models: z
    .array(modelPattern)
    .default([])
    .describe('The only models the key may use: `gpt-4o`, `gpt-4*` or `*`. Empty: all.'),
};

const tokensMax = Number.MAX_SAFE_INTEGER;
const allowance = {
  total_quota: count(-1, tokensMax)
    .optional()
    .describe(
      'Prompt and answer tokens the key may use per period. Unset or -1: unlimited; 0 blocks everything.',
    ),
  used_quota: count(0, tokensMax)
    .default(0)
    .describe('What it has used before the gateway began to count; heeded once.'),
  quota_reset_period: z
    .enum(['daily', 'weekly', 'monthly', 'never'])
    .default('never')
    .describe('When the use starts again from 0; see `rate_limit.time_zone`.'),
  last_reset_at: instant()
    .optional()
    .describe('When `used_quota` began to count; that of a period gone by is void. In ms once loaded.'),
  balance: z.number().optional().describe('A key with a balance of 0 or less counts as `quota_exceeded`.'),
  limits: Limits.optional().describe(
    'Limits of this key. Each replaces the same setting of `rate_limit.per_key`; a `requests_per_second` brings its own burst.',
  ),
  rate_limit: KeyRate.optional().describe('Another spelling of `limits`. Not together with it.'),
};

const bookkeeping = {
  created_at: instant().optional().describe('For your own records: RFC 3339 or unix seconds.'),
  updated_at: instant().optional().describe('For your own records: RFC 3339 or unix seconds.'),
};

const Key = z
  .strictObject({ ...identity, ...validity, ...allowance, ...bookkeeping })
  .describe('One API key.');

export const Keys = z.array(Key);

/** The whole of a file named by `auth.pipeline[].file.path`. */
export const KeyFile = z.strictObject({ keys: Keys.describe('The keys.') });

export const ApiKeys = Keys.prefault([]).describe('Keys for providers of type `file` that have no `path`.');
