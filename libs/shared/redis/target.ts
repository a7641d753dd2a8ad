/** Which Redis is meant, and how its address may be shown. */
import type { TlsTexts } from '@llmproxy/client-login';

/** One server, or a Redis Cluster. */
export interface RedisTarget {
  /**
   * `redis://`, `rediss://` (TLS) or `unix:///path/to.sock`; a database number as path, or as `?db=` of a socket. For a
   * cluster any of its servers, or several with commas between, by which it is found: `redis://a:6379,redis://b:6379`
   * or, when they share scheme and password, `redis://a:6379,b:6379`. A comma in a password is written `%2C`.
   */
  readonly url: string;
  /** Whether it is a Redis Cluster, which has neither database numbers nor sockets. Default false. */
  readonly cluster?: boolean | undefined;
  /** User of the ACL, when the URL names none. */
  readonly username?: string | undefined;
  /** Asked for each connection. */
  readonly password?: (() => string) | undefined;
  /** For `rediss://`; asked for each connection. Left out: any server whose certificate Node.js trusts. */
  readonly tls?: (() => TlsTexts) | undefined;
}

/** A server of a cluster as the URL names it. */
export interface Seed {
  readonly host: string;
  /** 1..65535. */
  readonly port: number;
}

/** All that the seeds of one cluster have in common. */
export interface SharedLogin {
  readonly username?: string;
  readonly password?: string;
  readonly isEncrypted: boolean;
}

const defaultPort = 6379;
// Before a scheme, or before a name without `user@`: a further server. Any other comma is part of a password.
const betweenServers = /,(?=rediss?:\/\/|[^,@]+(?:,|$))/;

/** A Redis URL as it may be shown: user name and password replaced, query dropped; of several, each. */
export function redactRedisUrl(url: string): string {
  return url.split(betweenServers).map(redacted).join(',');
}

function redacted(url: string, index: number): string {
  if (index > 0 && !url.includes('://')) return url;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined) return '(unreadable Redis URL)';
  const credentials = parsed.username !== '' || parsed.password !== '' ? '***@' : '';
  return `${parsed.protocol}//${credentials}${parsed.host}${parsed.pathname}`;
}

/** @throws Error, without the password, when this is no URL of one server */
export function checkedServerUrl(url: string): string {
  if (URL.canParse(url) && /^(redis|rediss|unix):\/\//.test(url)) return url;
  throw new Error(
    `${redactRedisUrl(url)} is not a Redis URL: write redis://host:6379/0, rediss://host:6379/0 or unix:///path/to.sock`,
  );
}

/**
 * The servers of a cluster's URL.
 * @throws Error, without the password, when it names none or names what a cluster does not have
 */
export function seedsOf(url: string): { seeds: Seed[]; login: SharedLogin } {
  const [first = '', ...further] = url.split(betweenServers);
  const main = seedUrl(first, url);
  const urls = [main, ...further.map((text) => seedUrl(withScheme(text, main), url))];
  return {
    seeds: urls.map(({ hostname, port }) => ({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? defaultPort : Number(port),
    })),
    login: {
      ...(main.username === '' ? {} : { username: decodeURIComponent(main.username) }),
      ...(main.password === '' ? {} : { password: decodeURIComponent(main.password) }),
      isEncrypted: main.protocol === 'rediss:',
    },
  };
}

const withScheme = (text: string, { protocol }: URL): string =>
  text.includes('://') ? text : `${protocol}//${text}`;

function seedUrl(text: string, whole: string): URL {
  const parsed = /^rediss?:\/\//.test(text) && URL.canParse(text) ? new URL(text) : undefined;
  if (parsed !== undefined && parsed.hostname !== '' && /^\/?0?$/.test(parsed.pathname)) return parsed;
  throw new Error(
    `${redactRedisUrl(whole)} is not the URL of a Redis Cluster: write redis://host:6379 or rediss://host:6379, ` +
      'several with commas between; a cluster has no database but 0',
  );
}
