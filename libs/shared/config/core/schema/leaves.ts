/**
 * The kinds of value a setting can have. A `title` in the metadata is the name of the kind in the docs. Messages
 * never repeat the value: it may be a secret on the wrong line.
 */
import { parseRanges } from '@llmproxy/client-ip';
import { parseDuration } from '@llmproxy/time';
import { z } from 'zod';

/** setTimeout and the kernel's timers count in 32 bits: 24.8 days is the longest wait they keep. */
const durationMsMax = 24 * 24 * 3_600_000;

/** A message for a value that is there but wrong; a missing or empty one is told by the loader. */
const wrong = (message: string) => (issue: { input?: unknown }) =>
  issue.input === undefined || issue.input === null ? undefined : message;

function durationProblem(input: unknown): string | undefined {
  if (input === undefined || input === null) return undefined;
  try {
    parseDuration(typeof input === 'number' ? String(input) : typeof input === 'string' ? input : '');
    return undefined;
  } catch (cause) {
    return cause instanceof Error ? cause.message : undefined;
  }
}

/** A duration in Go syntax, in milliseconds once loaded. `0s` is refused unless `zero` says what it means. */
export const duration = (zero: 'zero is refused' | 'zero is allowed' = 'zero is refused') =>
  z
    .string({ error: (issue) => durationProblem(issue.input) })
    .transform((text, context) => {
      const problem = durationProblem(text);
      if (problem === undefined) return parseDuration(text);
      context.addIssue({ code: 'custom', message: problem });
      return z.NEVER;
    })
    .pipe(
      z
        .number()
        .min(zero === 'zero is allowed' ? 0 : 1, { error: 'must be at least 1ms' })
        .max(durationMsMax, { error: 'must be at most 576h (24 days)' }),
    )
    .meta({
      title: 'duration',
      pattern: String.raw`^(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`,
    });

const bytesPerUnit: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };
const sizeText = /^(\d+) ?([KkMmGg]?)[iI]?[bB]$/;
const noSize = 'expected a size: bytes as a number, or text like 512KB or 10MB';

/** Bytes: a number, or text with a unit. As in nginx, 1KB is 1024 bytes. */
export const byteSize = () =>
  z
    .union(
      [z.int().min(1, { error: 'must be at least 1 byte' }), z.string().regex(sizeText, { error: noSize })],
      {
        error: wrong(noSize),
      },
    )
    .transform((size) => {
      if (typeof size === 'number') return size;
      const [, amount, unit = ''] = sizeText.exec(size) ?? [];
      return Number(amount) * (bytesPerUnit[unit.toUpperCase()] ?? 1);
    })
    .pipe(z.int({ error: 'must be below 2^53 bytes' }).min(1, { error: 'must be at least 1 byte' }))
    .meta({ title: 'size' });

/** A whole number in a range, both ends included. */
export const count = (min: number, max: number) =>
  z
    .int({
      error: (issue) => (issue.code === 'invalid_type' ? wrong('expected a whole number')(issue) : undefined),
    })
    .min(min)
    .max(max);

const listenText = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):(\d{1,5})$/;
const noListen = 'expected an address like ":8000", "127.0.0.1:8000" or "[::1]:8000"';

/** Where to listen: `:8000` (every address), `host:port` or `[IPv6]:port`; port 0 picks a free one. */
export const listenAddress = () =>
  z
    .string({ error: wrong(noListen) })
    .regex(listenText, { error: noListen })
    .refine((text) => Number(listenText.exec(text)?.[1] ?? 0) <= 65_535, {
      error: 'the port must be 0 to 65535',
    })
    .meta({ title: 'address' });

const noUrl = 'expected a URL that starts with http:// or https://';

function urlProblem(text: string): string | undefined {
  if (!URL.canParse(text) || !/^https?:\/\//i.test(text)) return noUrl;
  if (new URL(text).hash !== '') return 'a fragment (#…) is never sent: remove it';
  return undefined;
}

/** An http or https URL. */
export const httpUrl = () =>
  z
    .string({ error: wrong(noUrl) })
    .superRefine((text, context) => {
      const problem = urlProblem(text);
      if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
    })
    .meta({ title: 'URL', pattern: '^[hH][tT][tT][pP][sS]?://' });

const noHeaderName = 'expected a header name, like x-api-key';
export const headerName = () =>
  z.string({ error: wrong(noHeaderName) }).regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, { error: noHeaderName });

/** Text that can stand in a header as it is: printable Latin-1, no line breaks. */
export const headerValue = () =>
  z
    .string()
    .min(1)
    .regex(/^[\t\x20-\x7e\x80-\xff]*$/, { error: 'a header value holds printable characters only' });

/** Headers that belong to one connection or frame the body; setting them would corrupt the exchange. */
const framing = new Set(
  'connection content-length expect host keep-alive te trailer transfer-encoding upgrade'.split(' '),
);

export const headerMap = () =>
  z
    .record(
      headerName().refine((name) => !framing.has(name.toLowerCase()), {
        error: 'this header is set by the gateway and cannot be configured',
      }),
      headerValue(),
    )
    .meta({ title: 'map of headers' });

const noPath = 'expected a path that starts with /';
export const urlPath = () =>
  z
    .string({ error: wrong(noPath) })
    .regex(/^\/[!-~]*$/, { error: noPath })
    .meta({ title: 'path' });

const noName = 'expected 1 to 128 letters, digits or . _ : / - [ ]';
/** A name that is also a metric label, a log field and part of Redis keys. */
export const name = () =>
  z
    .string({ error: wrong(noName) })
    .regex(/^[\w.:/[\]-]{1,128}$/, { error: noName })
    .meta({ title: 'name' });

/** A name that goes into SQL as it is. */
const sqlPart = '[A-Za-z_][A-Za-z0-9_]{0,62}';
const sqlRule = 'a letter or _, then letters, digits or _, at most 63 characters';
export const sqlName = (what: 'schema' | 'table' | 'column') => {
  const error = `expected a ${what} name: ${sqlRule}`;
  return z.string({ error: wrong(error) }).regex(new RegExp(`^${sqlPart}$`), { error });
};

/** A table, also with the schema it is in. */
export const sqlTable = () => {
  const error = `expected a table name, or schema.table; each ${sqlRule}`;
  return z.string({ error: wrong(error) }).regex(new RegExp(`^(${sqlPart}\\.)?${sqlPart}$`), { error });
};

export const filePath = () => z.string().min(1).meta({ title: 'file' });

const noTime = 'expected a time like 2027-01-31T00:00:00Z, unix seconds, or null';
/** A point in time, in milliseconds since 1970 UTC once loaded. */
export const instant = () =>
  z
    .union([z.iso.datetime({ offset: true, error: noTime }), z.number().min(0).max(8.64e12), z.null()], {
      error: wrong(noTime),
    })
    .transform((at) => (typeof at === 'string' ? Date.parse(at) : at === null ? null : at * 1000))
    .meta({ title: 'time' });

const noRange = 'expected an address or a range, like 10.0.0.7, 10.0.0.0/8 or 2001:db8::/32';
/** An IP address, or a range of them in CIDR notation. */
export const addressRange = () =>
  z
    .string({ error: wrong(noRange) })
    .refine((text) => parseRanges([text]) !== undefined, { error: noRange })
    .meta({ title: 'address range' });

const noZone = 'expected a time zone like UTC or Europe/Berlin';
function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }) !== undefined;
  } catch {
    return false;
  }
}

/** A time zone by its name in the IANA database. */
export const timeZone = () =>
  z
    .string({ error: wrong(noZone) })
    .refine(isTimeZone, { error: noZone })
    .meta({ title: 'time zone' });

const noSocket = 'expected a socket like unix:/run/llmproxy/key-lookup.sock';
/** The path of a unix socket, written with `unix:` before it and without once loaded. */
export const unixSocket = () =>
  z
    .string({ error: wrong(noSocket) })
    .regex(/^unix:\S/, { error: noSocket })
    .transform((text) => text.slice('unix:'.length).replace(/^\/+/, '/'))
    .meta({ title: 'socket', pattern: '^unix:' });

const noRedis = 'expected redis://host:6379, rediss://… for TLS, or unix:///path/to/redis.sock';
const redisUrl = /^(rediss?:\/\/[^/\s]|unix:\/\/\/)\S*$/;

// Before a scheme, or before a name without `user@`: a further server. Any other comma is part of a password.
const betweenServers = /,(?=rediss?:\/\/|unix:\/\/|[^,@]+(?:,|$))/;
const hostAndPort = /^[^/\s@,]+$/;

/** The servers named by a Redis URL: one, or the seeds of a cluster, of which the further ones may lack a scheme. */
export const redisServers = (url: string): string[] => url.split(betweenServers);

/** The URL of a Redis server, or several of a cluster with commas between. */
export const redisUrls = () =>
  z
    .string({ error: wrong(noRedis) })
    .refine(
      (text) => redisServers(text).every((url, i) => redisUrl.test(url) || (i > 0 && hostAndPort.test(url))),
      { error: noRedis },
    )
    .meta({ title: 'URL', pattern: String.raw`^(rediss?://[^/\s]|unix:///)\S*$` });

/** Every block that has this switch is on as soon as it is written down. */
export const enabled = (what: string) => z.boolean().default(true).describe(what);
