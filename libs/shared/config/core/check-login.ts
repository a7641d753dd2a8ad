/** What is wrong with how a server is reached, and with who we say we are to it. */
import type { Blocks, Finding } from './check-links.ts';
import { renderPath } from './problem.ts';
import { dsnWordOf, tlsOfDsn } from './database-tls.ts';
import type { Path } from './read-yaml.ts';
import type { ConfigFile } from './schema/config-file.ts';
import { redisServers } from './schema/leaves.ts';
import type { ClientTls } from './schema/tls.ts';

type RedisSettings = Omit<ConfigFile['redis'], 'cluster' | 'allow_eviction'> & { readonly cluster: boolean };

/** Findings for a block that names a Redis. */
export function checkRedis(settings: RedisSettings, at: Path): Finding[] {
  const message = redisTargetProblem(settings, at);
  return [
    ...(message === undefined ? [] : [{ path: [...at, 'url'], message }]),
    ...passwords(settings, at),
    ...tlsFiles(settings.tls, [...at, 'tls']),
  ];
}

function passwords({ url, username, password, password_file }: RedisSettings, at: Path): Finding[] {
  if (password !== undefined && password_file !== undefined) {
    return [
      { path: [...at, 'password_file'], message: 'password is given too: write one of them', at: 'key' },
    ];
  }
  const missing = username !== undefined && password === undefined && password_file === undefined;
  // With a user or a password in the URL, more than this is wrong.
  if (!missing || (url !== undefined && hasLogin(url))) return [];
  return [{ path: [...at, 'username'], message: 'needs a password, or a password_file', at: 'key' }];
}

/**
 * Why a Redis cannot be reached this way; undefined: it can, as far as the words tell.
 * @param at the block that says the rest
 */
export function redisTargetProblem(settings: RedisSettings, at: Path): string | undefined {
  const { url, cluster } = settings;
  if (url === undefined) return undefined;
  const servers = redisServers(url);
  return (cluster ? clusterProblem(servers) : singleProblem(servers, at)) ?? loginProblem(settings, at);
}

function singleProblem(servers: readonly string[], at: Path): string | undefined {
  if (servers.length === 1) return undefined;
  return `several servers are a Redis Cluster: set ${renderPath([...at, 'cluster'])} to true`;
}

function clusterProblem(servers: readonly string[]): string | undefined {
  if (servers.some((server) => server.startsWith('unix:'))) {
    return 'a Redis Cluster is not reached over a socket: write redis://host:6379';
  }
  const elsewhere = servers.some((server) => !/^(rediss?:\/\/)?[^/]+\/?0?(\?.*)?$/.test(server));
  return elsewhere ? 'a Redis Cluster has database 0 only: remove the number' : undefined;
}

const loginSettings = ['username', 'password', 'password_file'] as const;

function loginProblem(settings: RedisSettings, at: Path): string | undefined {
  const { url = '', tls } = settings;
  const given = loginSettings.find((setting) => settings[setting] !== undefined);
  if (given !== undefined && hasLogin(url)) {
    return `holds a user or a password, and ${renderPath([...at, given])} is given too: write them in one place`;
  }
  if (tls === undefined || url.startsWith('rediss:')) return undefined;
  return `${renderPath([...at, 'tls'])} is given: write rediss:// for TLS`;
}

const hasLogin = (url: string): boolean =>
  redisServers(url).some((server) => /^[^/]*\/\/[^/?]*@/.test(server));

/** The first setting that says who we are to a Redis; with no Redis named it would have no effect. */
export const givenLogin = (settings: RedisSettings): string | undefined =>
  ([...loginSettings, 'tls'] as const).find((setting) => settings[setting] !== undefined);

/** Findings for the `tls` blocks of webhooks. */
export function checkWebhookTls({ usage, auth }: Blocks): Finding[] {
  const reporters = (usage?.reporters ?? []).map(({ webhook }, i) => {
    return { webhook, at: ['usage', 'reporters', i, 'webhook'] };
  });
  const providers = (auth?.pipeline ?? []).map(({ webhook }, i) => {
    return { webhook, at: ['auth', 'pipeline', i, 'webhook'] };
  });
  return [...reporters, ...providers].flatMap(({ webhook, at }): Finding[] => {
    if (webhook?.tls === undefined) return [];
    const path = [...at, 'tls'];
    if (/^https:/i.test(webhook.url)) return tlsFiles(webhook.tls, path);
    return [{ path, message: 'the url is not https://: this would have no effect', at: 'key' }];
  });
}

/** A certificate without its key, or a key without its certificate. */
export function tlsFiles(tls: ClientTls | undefined, at: Path): Finding[] {
  const { cert_file, key_file } = tls ?? {};
  if ((cert_file === undefined) === (key_file === undefined)) return [];
  const [missing, given] = cert_file === undefined ? ['cert_file', 'key_file'] : ['key_file', 'cert_file'];
  return [{ path: [...at, missing], message: `is required with ${given}` }];
}

/** A block with files to be looked into before anybody relies on them. */
export interface LoginPlace {
  readonly path: Path;
  /** Set when one setting names all the files, each by a word of its own. */
  readonly words?: { readonly setting: string; readonly wordOf: (file: string) => string } | undefined;
  readonly tls?: ClientTls | undefined;
  readonly password_file?: string | undefined;
}

/** The blocks in use that name such files. */
export function loginPlaces({ redis, storage, usage, auth }: Blocks): LoginPlace[] {
  const ofRedis = redis === undefined ? [] : [{ path: ['redis'], ...redis }];
  const caches = (storage?.caches ?? []).map((cache, i) => ({ path: ['storage', 'caches', i], ...cache }));
  const databases = (storage?.databases ?? []).map((database, i) => {
    const { enabled, tls } = database;
    const ofDsn = tlsOfDsn(database);
    const path = ['storage', 'databases', i];
    if (ofDsn === undefined) return { enabled, path, tls };
    return { enabled, path, tls: ofDsn, words: { setting: 'dsn', wordOf: dsnWordOf } };
  });
  const reporters = (usage?.reporters ?? []).map(({ enabled, webhook }, i) => {
    return { enabled, path: ['usage', 'reporters', i, 'webhook'], tls: webhook?.tls };
  });
  const providers = (auth?.pipeline ?? []).map(({ enabled, webhook }, i) => {
    return { enabled, path: ['auth', 'pipeline', i, 'webhook'], tls: webhook?.tls };
  });
  return [
    ...ofRedis,
    ...[...caches, ...databases, ...reporters, ...providers].filter(({ enabled }) => enabled),
  ];
}
