/** A key to be made: its secret, and the record of what it may do. */
import { randomInt } from 'node:crypto';
import { parseRanges } from '@llmproxy/client-ip';
import { maskKey, type KeyRecord } from '@llmproxy/key-store';
import { parseDuration } from '@llmproxy/time';
import { UsageError } from './arguments.ts';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const randomChars = 32; // of 62 each: 190 bits

/** A secret that nobody can guess: `sk-llmproxy-` and 32 letters and digits. */
export function newSecret(): string {
  const chars = Array.from({ length: randomChars }, () => alphabet[randomInt(alphabet.length)]);
  return `sk-llmproxy-${chars.join('')}`;
}

/** As they are written on the command line; lists have commas between. */
export interface NewKeyOptions {
  name?: string | undefined;
  user?: string | undefined;
  models?: string | undefined;
  quota?: string | undefined;
  'quota-period'?: string | undefined;
  starts?: string | undefined;
  expires?: string | undefined;
  'allowed-ips'?: string | undefined;
  'denied-ips'?: string | undefined;
  rps?: string | undefined;
  burst?: string | undefined;
  rpm?: string | undefined;
  tpm?: string | undefined;
  'max-concurrent'?: string | undefined;
}

/**
 * The record of a new key.
 * @param nowMs unix time in ms
 * @throws UsageError naming the option that cannot be understood
 */
export function newRecord(options: NewKeyOptions, secret: string, nowMs: number): KeyRecord {
  if (!options.name?.trim()) throw new UsageError('give the key a name: --name "Billing batch"');
  refuseEmpty(options);
  const now = new Date(nowMs).toISOString();
  const expires = instant('--expires', options.expires, nowMs);
  if (expires !== undefined && Date.parse(expires) <= nowMs)
    throw new UsageError('--expires lies in the past');
  return withoutUnset({
    name: options.name.trim(),
    masked_key: maskKey(secret),
    user_id: options.user,
    status: 'active',
    starts_at: instant('--starts', options.starts, nowMs),
    expires_at: expires,
    allowed_ips: ranges('--allowed-ips', options['allowed-ips']),
    denied_ips: ranges('--denied-ips', options['denied-ips']),
    allowed_models: list('--models', options.models),
    total_quota: amount('--quota', options.quota),
    quota_reset_period: period(options['quota-period']),
    limits: limitsOf(options),
    created_at: now,
    updated_at: now,
  });
}

function limitsOf(options: NewKeyOptions): KeyRecord['limits'] {
  const limits = withoutUnset({
    requests_per_second: amount('--rps', options.rps),
    burst_size: amount('--burst', options.burst),
    requests_per_minute: amount('--rpm', options.rpm),
    tokens_per_minute: amount('--tpm', options.tpm),
    max_concurrent: amount('--max-concurrent', options['max-concurrent']),
  });
  return Object.keys(limits).length === 0 ? undefined : limits;
}

type Set<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Unset fields must be absent: a stored record holds what is limited, and nothing else. */
function withoutUnset<T extends object>(fields: T): Set<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Set<T>;
}

function amount(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text.replaceAll('_', ''));
  if (/^[\d_]+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new UsageError(
    `${option} takes a whole number, such as 1000000; 0 blocks everything, unset is unlimited`,
  );
}

/** An option that is set from a variable which is empty or unset would open what it was meant to close. */
function refuseEmpty(options: NewKeyOptions): void {
  for (const [option, text] of Object.entries(withoutUnset(options))) {
    if (String(text).trim() === '')
      throw new UsageError(`--${option} is empty; leave it out to limit nothing by it`);
  }
}

function list(option: string, text: string | undefined): string[] | undefined {
  const entries = text?.split(',').map((entry) => entry.trim());
  if (entries?.includes('')) throw new UsageError(`${option} has an empty entry: "${text}"`);
  return entries;
}

/** Checked here: a gateway denies a key whose list it cannot read. */
function ranges(option: string, text: string | undefined): string[] | undefined {
  const entries = list(option, text);
  const wrong = entries?.find((entry) => parseRanges([entry]) === undefined);
  if (wrong === undefined) return entries;
  throw new UsageError(
    `${option}: "${wrong}" is no address and no range such as 10.0.0.0/8 or 2001:db8::/32`,
  );
}

const periods = ['daily', 'weekly', 'monthly', 'never'] as const;

function period(text: string | undefined): KeyRecord['quota_reset_period'] {
  const found = periods.find((each) => each === text);
  if (text !== undefined && found === undefined) {
    throw new UsageError(`--quota-period is one of ${periods.join(', ')}`);
  }
  return found;
}

const dayMs = 86_400_000;
const rfc3339 = /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?$/;

/** A date (its first moment in UTC), a time, or a span from now on. */
function instant(option: string, text: string | undefined, nowMs: number): string | undefined {
  if (text === undefined) return undefined;
  const atMs = rfc3339.test(text) ? Date.parse(text) : nowMs + spanMs(option, text);
  if (Math.abs(atMs) <= 8.64e15) return new Date(atMs).toISOString();
  throw wrongTime(option);
}

function spanMs(option: string, text: string): number {
  const [, days] = /^(\d+)d$/.exec(text) ?? [];
  if (days !== undefined) return Number(days) * dayMs;
  try {
    return parseDuration(text);
  } catch {
    throw wrongTime(option);
  }
}

const wrongTime = (option: string) =>
  new UsageError(`${option} takes a date (2027-01-31), a time (2027-01-31T12:00:00Z) or a span (30d, 12h)`);
