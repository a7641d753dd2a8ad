/**
 * One key of the built-in store. A field that is unset is absent from the stored text, and a reader refuses fields it
 * does not know: a gateway of an older version then denies a key whose new restriction it could not enforce, and no
 * other key.
 */
import { z } from 'zod';

const instant = z.iso.datetime({ offset: true });
const amount = z.number();
const list = z.array(z.string());

const Limits = z.strictObject({
  requests_per_second: amount.optional(),
  burst_size: amount.optional(),
  requests_per_minute: amount.optional(),
  tokens_per_minute: amount.optional(),
  max_concurrent: amount.optional(),
});

/** Amounts: unset or negative is unlimited, 0 blocks everything. Times: RFC 3339. */
export const KeyRecord = z.strictObject({
  /** A label for people, unique by habit only. */
  name: z.string(),
  /** The key as people may see it, such as `sk-l***9aZ0`. */
  masked_key: z.string(),
  user_id: z.string().optional(),
  status: z.enum(['active', 'disabled', 'expired', 'quota_exceeded']),
  starts_at: instant.optional(),
  expires_at: instant.optional(),
  /** Addresses and CIDR ranges. */
  allowed_ips: list.optional(),
  denied_ips: list.optional(),
  /** Exact names, `*`, or a prefix and `*`. Empty or unset: all. */
  allowed_models: list.optional(),
  /** Tokens per period. */
  total_quota: amount.optional(),
  /** Tokens already used when the key came here; what is used later is counted elsewhere. */
  used_quota: amount.nonnegative().optional(),
  quota_reset_period: z.enum(['daily', 'weekly', 'monthly', 'never']).optional(),
  balance: z.number().optional(),
  limits: Limits.optional(),
  created_at: instant,
  updated_at: instant,
});
export type KeyRecord = z.output<typeof KeyRecord>;

// First in the text, where scripts look for it; a record begins with its name.
const removedHead = '{"removed_at":';

/** What stands in place of a record that was removed: nothing may ever be stored there again. */
export const removedText = (nowMs: number): string => `${removedHead}"${new Date(nowMs).toISOString()}"}`;

/** Whether this is the text of a removed key. */
export const isRemovedText = (text: string): boolean => text.startsWith(removedHead);

const reservedHead = '{"reserved_by":';

/** What stands for a moment in place of a record that Redis lost, before the record is put back. */
export const reservedText = (by: string): string => `${reservedHead}"${by}"}`;

/** Whether this keeps the place of a lost record. */
export const isReservedText = (text: string): boolean => text.startsWith(reservedHead);

/** Whether this is no record, but the note of a removed key or what keeps the place of a lost one. */
export const isNoRecord = (text: string): boolean => isRemovedText(text) || isReservedText(text);

/** What a store holds of a key cannot be read. The message says what is wrong, without a value. */
export class UnreadableKey extends Error {}

/** @throws UnreadableKey that names the first field that is wrong, without its value */
export function parseKeyRecord(json: string): KeyRecord {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new UnreadableKey('the record is not JSON'); // the cause would quote the text
  }
  return checkedKeyRecord(value);
}

/** @throws UnreadableKey that names the first field that is wrong, without its value */
export function checkedKeyRecord(value: unknown): KeyRecord {
  const { data, error } = KeyRecord.safeParse(value);
  if (data !== undefined) return data;
  const [issue] = error.issues;
  throw new UnreadableKey(`${issue?.path.join('.') || 'the record'}: ${issue?.message ?? 'is wrong'}`);
}
