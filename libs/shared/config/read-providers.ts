/** What the enabled providers need from files of their own: lists of keys, and hooks. */
import { dirname, isAbsolute, join } from 'node:path';
import { providersOf } from './core/check-auth.ts';
import type { KeyList } from './core/check-auth.ts';
import type { Blocks } from './core/check-links.ts';
import type { Env } from './core/expand-env.ts';
import type { Problem } from './core/problem.ts';
import { readYaml } from './core/read-yaml.ts';
import type { Path, YamlFile } from './core/read-yaml.ts';
import type { ReadProvider } from './core/resolve-auth.ts';
import { KeyFile } from './core/schema/keys.ts';
import { validate } from './core/validate.ts';
import { readText } from './read-text.ts';

type Provider = ReadProvider['provider'];

export interface ReadProviders {
  readonly providers: readonly ReadProvider[];
  /** Each list once, however many providers take it. */
  readonly lists: readonly KeyList[];
  readonly problems: readonly Problem[];
}

/** What the caller knows to judge and this library does not. */
export interface ForeignChecks {
  /** What is wrong with the text of a hook. Left out: hooks are not looked into. */
  hookProblem?(source: string): string | undefined;
}

/** @param yaml the config file; `blocks` what is right in it */
export function readProviders(
  yaml: YamlFile,
  { auth, api_keys }: Blocks,
  env: Env,
  checks: ForeignChecks = {},
): ReadProviders {
  if (auth === undefined || api_keys === undefined) return { providers: [], lists: [], problems: [] };
  const problems: Problem[] = [];
  const topLevel: KeyList = { yaml, path: ['api_keys'], keys: api_keys };
  const read = providersOf(auth).map((provider) => {
    const at = ['auth', 'pipeline', auth.pipeline.indexOf(provider)];
    const keys = readKeys({ config: yaml, provider, at, topLevel }, env);
    const hook = readHook(yaml, provider, at, checks);
    problems.push(...keys.problems, ...hook.problems);
    return { provider, list: keys.list, hookText: hook.text };
  });
  const nobody = read.length > 0 && read.every(({ list }) => list?.keys.length === 0);
  if (nobody && problems.length === 0) {
    const cure = 'add keys, or set auth.enabled to false';
    problems.push(
      yaml.problem(
        ['auth'],
        `auth is on, but there is no key, so every request would be refused: ${cure}`,
        'key',
      ),
    );
  }
  return {
    providers: read.map(({ list, ...rest }) => ({ ...rest, keys: list?.keys ?? [] })),
    lists: [...new Set(read.flatMap(({ list }) => list ?? []))],
    problems,
  };
}

interface KeysPlace {
  readonly config: YamlFile;
  readonly provider: Provider;
  readonly at: Path;
  /** What a provider of type `file` takes that names no file. */
  readonly topLevel: KeyList;
}

/** `list` is undefined for a provider that holds no list. */
function readKeys(
  { config, provider, at, topLevel }: KeysPlace,
  env: Env,
): { list?: KeyList; problems: readonly Problem[] } {
  if (provider.type === 'static') {
    const list = { yaml: config, path: [...at, 'static', 'keys'], keys: provider.static?.keys ?? [] };
    return { list, problems: [] };
  }
  if (provider.type !== 'file') return { problems: [] };
  const path = provider.file?.path;
  if (path === undefined) return { list: topLevel, problems: [] };
  return readKeyFile({ config, path, at: [...at, 'file', 'path'] }, env);
}

interface FilePlace {
  readonly config: YamlFile;
  readonly path: string;
  /** Where the config names it. */
  readonly at: Path;
}

const besideConfig = ({ config, path }: FilePlace): string =>
  isAbsolute(path) ? path : join(dirname(config.file), path);

function readKeyFile(place: FilePlace, env: Env): { list: KeyList; problems: readonly Problem[] } {
  const { config, at } = place;
  const file = besideConfig(place);
  const text = readText(file, 'the file of keys');
  const none = { yaml: config, path: at, keys: [] };
  if (typeof text !== 'string') return { list: none, problems: [config.problem(at, text.message)] };
  const yaml = readYaml(file, text, env);
  if (!yaml.usable) return { list: none, problems: yaml.problems };
  const data = yaml.data();
  if (typeof data !== 'object' || data === null || Array.isArray(data)) {
    return { list: none, problems: [yaml.problem([], 'a file of keys holds one list, "keys:"')] };
  }
  const { value, problems } = validate(yaml, KeyFile);
  return {
    list: { yaml, path: ['keys'], keys: value.keys ?? [] },
    problems: [...yaml.problems, ...problems],
  };
}

interface HookText {
  readonly text: string | undefined;
  readonly problems: readonly Problem[];
}

function readHook(config: YamlFile, provider: Provider, at: Path, checks: ForeignChecks): HookText {
  const { lua, lua_script, lua_script_file } = provider;
  const path = lua?.path ?? lua_script_file;
  const setting = hookSetting(provider);
  const named = [...at, ...setting];
  const text =
    path === undefined
      ? (lua?.script ?? lua_script)
      : readText(besideConfig({ config, path, at: named }), 'the file of the hook');
  if (text === undefined) return { text, problems: [] };
  if (typeof text !== 'string') return { text: undefined, problems: [config.problem(named, text.message)] };
  const problem = checks.hookProblem?.(text);
  return { text, problems: problem === undefined ? [] : [config.problem(named, `is not Lua: ${problem}`)] };
}

function hookSetting({ lua, lua_script_file }: Provider): string[] {
  if (lua?.path !== undefined) return ['lua', 'path'];
  if (lua_script_file !== undefined) return ['lua_script_file'];
  return lua?.script === undefined ? ['lua_script'] : ['lua', 'script'];
}
