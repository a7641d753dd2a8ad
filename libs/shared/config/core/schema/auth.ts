import { z } from 'zod';
import { enabled, filePath, headerName, instant, name } from './leaves.ts';

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

const Key = z
  .strictObject({
    key: z
      .string()
      .min(8)
      .regex(/^[!-~]+$/, { error: 'a key holds printable ASCII without spaces only' })
      .describe('The API key that clients present, at least 8 characters. Better `${ENV}` than plain text.'),
    name: z.string().optional().describe('A label for people.'),
    user_id: z.string().optional().describe('Whom the usage is booked to; part of every usage event.'),
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
  })
  .describe('One API key.');

export const Keys = z.array(Key);

/** The whole of a file named by `auth.pipeline[].file.path`. */
export const KeyFile = z.strictObject({ keys: Keys.describe('The keys.') });

const Provider = z
  .strictObject({
    name: name().describe('Unique name, used in logs.'),
    type: z
      .enum(['static', 'file'])
      .describe('`static`: keys in this file. `file`: keys in a file of their own, or in `api_keys`.'),
    enabled: enabled('Ask this provider.'),
    static: z
      .strictObject({ keys: Keys.describe('The keys of a `static` provider, written as in `api_keys`.') })
      .optional()
      .describe('Keys of a provider of type `static`.'),
    file: z
      .strictObject({
        path: filePath()
          .optional()
          .describe('YAML file with one list, `keys:`. Unset: the provider takes the top-level `api_keys`.'),
      })
      .optional()
      .describe('Where a provider of type `file` reads.'),
  })
  .describe('One source of keys.');

export const Auth = z
  .strictObject({
    enabled: enabled('Ask clients for an API key.'),
    mode: z
      .enum(['first_match'])
      .default('first_match')
      .describe('The first provider that knows a key decides.'),
    header_names: z
      .array(headerName())
      .min(1)
      .default(['Authorization', 'x-api-key', 'api-key', 'x-goog-api-key'])
      .describe(
        'Headers a key may come in, tried in this order; `Authorization` as `Bearer <key>`. None of them reaches a backend.',
      ),
    pipeline: z
      .array(Provider)
      .prefault([])
      .describe('Sources of keys, asked in this order. Empty: one `file` provider over `api_keys`.'),
  })
  .prefault({ enabled: false })
  .describe('Who may use the gateway. Without this block everyone may.');

export const ApiKeys = Keys.prefault([]).describe('Keys for providers of type `file` that have no `path`.');
