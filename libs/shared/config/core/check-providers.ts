/** What is wrong with one provider of keys: blocks that are missing or useless, and names that lead nowhere. */
import { blocksOfType, link } from './check-links.ts';
import type { Finding } from './check-links.ts';
import type { Path } from './read-yaml.ts';
import type { ConfigFile } from './schema/config-file.ts';

type Provider = ConfigFile['auth']['pipeline'][number];
type Storage = ConfigFile['storage'];

const blocks = ['static', 'file', 'redis', 'database', 'webhook'];
const required = ['static', 'redis', 'database', 'webhook'];

/** @param storage undefined: it is wrong itself, so what leads to it is not followed */
export function checkProvider(provider: Provider, storage: Storage | undefined, at: Path): Finding[] {
  return [
    ...blocksOfType(provider, blocks, required, at),
    ...settingsOfTheAsked(provider, at),
    ...hook(provider, at),
    ...(provider.enabled && storage !== undefined ? links(provider, storage, at) : []),
  ];
}

/** Whether a provider is asked over a connection, and so can be slow or fail. */
export const isAsked = ({ type }: Pick<Provider, 'type'>): boolean =>
  type === 'builtin' || type === 'redis' || type === 'database' || type === 'webhook';

function settingsOfTheAsked(provider: Provider, at: Path): Finding[] {
  if (!isAsked(provider)) {
    const message = `a provider of type ${provider.type} asks nobody: this would have no effect`;
    return (['on_error', 'timeout', 'cache'] as const)
      .filter((key) => provider[key] !== undefined)
      .map((key) => ({ path: [...at, key], message, at: 'key' }));
  }
  if (provider.timeout === undefined || provider.webhook?.timeout === undefined) return [];
  const message = 'timeout of the provider is given too: remove this one';
  return [{ path: [...at, 'webhook', 'timeout'], message, at: 'key' }];
}

function hook({ type, lua, lua_script, lua_script_file }: Provider, at: Path): Finding[] {
  const given = [
    { path: [...at, 'lua', 'script'], value: lua?.script },
    { path: [...at, 'lua', 'path'], value: lua?.path },
    { path: [...at, 'lua_script'], value: lua_script },
    { path: [...at, 'lua_script_file'], value: lua_script_file },
  ].filter(({ value }) => value !== undefined);
  const [, second] = given;
  if (second !== undefined) {
    return [{ path: second.path, message: 'the hook is given twice: remove one of them', at: 'key' }];
  }
  if (given.length === 1) return [];
  if (lua !== undefined)
    return [{ path: [...at, 'lua', 'script'], message: 'is required, or a path', at: 'key' }];
  return type === 'lua' ? [{ path: [...at, 'lua'], message: 'is required for type lua' }] : [];
}

function links({ redis, database }: Provider, storage: Storage, at: Path): Finding[] {
  return [
    ...(redis ? link(redis.storage, storage.caches, 'caches', [...at, 'redis', 'storage']) : []),
    ...(database
      ? link(database.storage, storage.databases, 'databases', [...at, 'database', 'storage'])
      : []),
  ];
}
