/** The keys of every enabled provider; those that live in files of their own are read and checked here. */
import { dirname, isAbsolute, join } from 'node:path';
import { providersOf } from './core/check-auth.ts';
import type { KeyEntry, KeyList } from './core/check-auth.ts';
import type { Blocks } from './core/check-links.ts';
import type { Env } from './core/expand-env.ts';
import type { Problem } from './core/problem.ts';
import { readYaml } from './core/read-yaml.ts';
import type { Path, YamlFile } from './core/read-yaml.ts';
import { KeyFile } from './core/schema/auth.ts';
import { validate } from './core/validate.ts';
import { readText } from './read-text.ts';

type Auth = NonNullable<Blocks['auth']>;
type Provider = Auth['pipeline'][number];

export interface KeyLists {
  readonly providers: readonly { name: string; type: 'static' | 'file'; keys: readonly KeyEntry[] }[];
  /** Each list once, however many providers take it. */
  readonly lists: readonly KeyList[];
  readonly problems: readonly Problem[];
}

/** @param yaml the config file; `blocks` what is right in it */
export function readKeyLists(yaml: YamlFile, { auth, api_keys }: Blocks, env: Env): KeyLists {
  if (auth === undefined || api_keys === undefined) return { providers: [], lists: [], problems: [] };
  const problems: Problem[] = [];
  const topLevel: KeyList = { yaml, path: ['api_keys'], keys: api_keys };
  const listOf = (provider: Provider): KeyList => {
    const at = ['auth', 'pipeline', auth.pipeline.indexOf(provider)];
    if (provider.type === 'static')
      return { yaml, path: [...at, 'static', 'keys'], keys: provider.static?.keys ?? [] };
    const path = provider.file?.path;
    if (path === undefined) return topLevel;
    const read = readKeyFile({ config: yaml, path, at: [...at, 'file', 'path'] }, env);
    problems.push(...read.problems);
    return read.list;
  };
  const providers = providersOf(auth).map((provider) => ({ provider, list: listOf(provider) }));
  const nobody = providers.length > 0 && providers.every(({ list }) => list.keys.length === 0);
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
    providers: providers.map(({ provider: { name, type }, list }) => ({ name, type, keys: list.keys })),
    lists: [...new Set(providers.map(({ list }) => list))],
    problems,
  };
}

interface KeyFilePlace {
  readonly config: YamlFile;
  readonly path: string;
  /** Where the config names it. */
  readonly at: Path;
}

function readKeyFile(
  { config, path, at }: KeyFilePlace,
  env: Env,
): { list: KeyList; problems: readonly Problem[] } {
  const file = isAbsolute(path) ? path : join(dirname(config.file), path);
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
