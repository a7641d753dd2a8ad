/** From a file and the environment to a checked, frozen `Config`, or to every problem at once. */
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { checkAuth, checkKeys } from './core/check-auth.ts';
import { checkKeyLimits, checkLimits } from './core/check-limits.ts';
import { checkLinks } from './core/check-links.ts';
import type { Blocks, Finding } from './core/check-links.ts';
import { checkWebhookTls, givenLogin, loginPlaces, redisTargetProblem } from './core/check-login.ts';
import { checkStorage } from './core/check-storage.ts';
import type { Env } from './core/expand-env.ts';
import { findForeignDialect } from './core/not-built.ts';
import { ConfigError, sortProblems } from './core/problem.ts';
import type { Problem } from './core/problem.ts';
import { readYaml } from './core/read-yaml.ts';
import type { Path, YamlFile } from './core/read-yaml.ts';
import { withFiles } from './core/login-files.ts';
import { resolveConfig } from './core/resolve.ts';
import type { Config } from './core/resolve.ts';
import { ConfigFile } from './core/schema/config-file.ts';
import { redisUrls } from './core/schema/leaves.ts';
import { validate } from './core/validate.ts';
import { loginFaults } from './read-login.ts';
import { readProviders, type ForeignChecks } from './read-providers.ts';
import { readText } from './read-text.ts';

export interface LoadedConfig {
  readonly config: Config;
  /** What works but should be written differently. */
  readonly warnings: readonly Problem[];
}

/**
 * Reads and checks a config file. Messages never repeat a configured value.
 * @param path relative to the working folder, or absolute; shown as it is in problems
 * @param env where `${NAME}` and `LLMPROXY_REDIS_URL` are looked up
 * @param checks what else to look into
 * @returns deeply frozen
 * @throws ConfigError with every problem found
 */
export function loadConfig(path: string, env: Env, checks: ForeignChecks = {}): Config {
  return loadWithWarnings(path, env, checks).config;
}

/** As `loadConfig`, for those who also show what is deprecated. */
export function loadWithWarnings(path: string, env: Env, checks: ForeignChecks = {}): LoadedConfig {
  const text = readText(path, 'the config file');
  if (typeof text !== 'string') throw new ConfigError([text]);
  const yaml = readYaml(path, text, env);
  if (!yaml.usable) throw new ConfigError(sortProblems(yaml.problems));
  const whole = problemOfWhole(yaml);
  if (whole !== undefined) throw new ConfigError([whole]);

  const { value: blocks, problems } = validate(yaml, ConfigFile);
  const { providers, lists, problems: unreadable } = readProviders(yaml, blocks, env, checks);
  const all = [
    ...yaml.problems,
    ...problems,
    ...place(yaml, [
      ...contradictingListen(yaml),
      ...checkLinks(blocks),
      ...checkStorage(blocks),
      ...checkWebhookTls(blocks),
      ...checkAuth(blocks, isGiven(yaml, 'auth')),
      ...checkLimits(blocks),
    ]),
    ...unreadable,
    ...unreadableLogins(yaml, blocks),
    ...checkKeys(lists),
    ...checkKeyLimits(lists, blocks.rate_limit),
    ...redisProblems(yaml, blocks, env),
  ];
  if (all.length > 0) throw new ConfigError(sortProblems(all));
  const config = resolveConfig(blocks as ConfigFile, {
    cores: availableParallelism(),
    redisUrl: env['LLMPROXY_REDIS_URL'] || undefined,
    fileInConfig: (file) => resolve(dirname(path), file),
    dataDir: (folder) => resolve(folder),
    inDataDir: join,
    providers,
  });
  const tooLong = longSocket(yaml, config);
  if (tooLong !== undefined) throw new ConfigError([tooLong]);
  return { config: freeze(config), warnings: deprecations(yaml, (blocks as ConfigFile).auth) };
}

function problemOfWhole(yaml: YamlFile): Problem | undefined {
  const data = yaml.data();
  if (data === null || data === undefined)
    return yaml.problem([], 'the file is empty; the least it needs is backends');
  if (typeof data !== 'object' || Array.isArray(data)) {
    return yaml.problem([], 'the file must be a block of settings, like "backends: …"');
  }
  const foreign = findForeignDialect(Object.keys(data));
  return foreign && yaml.problem([foreign.key], foreign.message, 'key');
}

const place = (yaml: YamlFile, findings: readonly Finding[]): Problem[] =>
  findings.map(({ path, message, at }) => yaml.problem(path, message, at));

const topLevel = (yaml: YamlFile): Readonly<Record<string, unknown>> =>
  yaml.data() as Record<string, unknown>;
const isGiven = (yaml: YamlFile, key: string): boolean => topLevel(yaml)[key] !== undefined;

function contradictingListen(yaml: YamlFile): Finding[] {
  const { listen, server } = topLevel(yaml);
  if (typeof listen !== 'string' || typeof server !== 'object' || server === null || !('listen' in server))
    return [];
  if (server.listen === listen) return [];
  return [
    { path: ['listen'], message: 'server.listen is another address: remove this deprecated spelling of it' },
  ];
}

function deprecations(yaml: YamlFile, { pipeline }: ConfigFile['auth']): Problem[] {
  const listen: Path[] = isGiven(yaml, 'listen') ? [['listen']] : [];
  const hooks = pipeline.flatMap((provider, i) =>
    (['lua_script', 'lua_script_file'] as const)
      .filter((key) => provider[key] !== undefined)
      .map((key): Path => ['auth', 'pipeline', i, key]),
  );
  return [...listen, ...hooks].map((path) => {
    return yaml.problem(path, `deprecated, write ${newSpelling[String(path.at(-1))] ?? ''}`, 'key');
  });
}

const newSpelling: Readonly<Record<string, string>> = {
  listen: 'server.listen',
  lua_script: 'lua.script',
  lua_script_file: 'lua.path',
};

/** The kernel keeps 108 bytes for the path of a socket, the last of them 0. */
const socketBytesMax = 107;

function longSocket(yaml: YamlFile, { auth }: Config): Problem | undefined {
  const isUsed = auth.pipeline.some(({ type }) => type === 'database');
  if (!isUsed || Buffer.byteLength(auth.lookup.listen) <= socketBytesMax) return undefined;
  const message = `the whole path is longer than a socket may have, ${socketBytesMax} bytes: name another, or a shorter data_dir`;
  return yaml.problem(['auth', 'lookup', 'listen'], message);
}

/** What is wrong with the files of passwords and certificates. */
function unreadableLogins(yaml: YamlFile, blocks: Blocks): Problem[] {
  return loginPlaces(blocks).flatMap(({ path, words, ...files }) => {
    const { password, tls } = loginFaults(withFiles(files, (file) => resolve(dirname(yaml.file), file)));
    return [
      ...password.map(({ setting, message }) => yaml.problem([...path, setting], message)),
      ...tls.map(({ setting, message }) =>
        words === undefined
          ? yaml.problem([...path, 'tls', setting], message)
          : yaml.problem([...path, words.setting], `${words.wordOf(setting)}: ${message}`),
      ),
    ];
  });
}

/** What is wrong with the address in the environment, and a cluster or a login that nothing names the Redis of. */
function redisProblems(yaml: YamlFile, { redis }: Blocks, env: Env): Problem[] {
  const url = env['LLMPROXY_REDIS_URL'] || undefined;
  if (url === undefined) {
    if (redis === undefined || redis.url !== undefined) return [];
    const what = redis.cluster ? 'for a cluster' : givenLogin(redis)?.replace(/^/, 'with ');
    if (what === undefined) return [];
    const message = `is required ${what}, or LLMPROXY_REDIS_URL in the environment`;
    return [yaml.problem(['redis', 'url'], message)];
  }
  const message = environmentProblem(url, redis);
  if (message === undefined) return [];
  return [{ file: 'environment', line: 0, column: 0, path: 'LLMPROXY_REDIS_URL', message }];
}

function environmentProblem(url: string, redis: Blocks['redis']): string | undefined {
  const result = redisUrls().safeParse(url);
  if (!result.success) return result.error.issues[0]?.message;
  const isUsed = redis !== undefined && redis.url === undefined;
  return isUsed ? redisTargetProblem({ ...redis, url }, ['redis']) : undefined;
}

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.values(value).forEach(freeze);
    Object.freeze(value);
  }
  return value;
}
