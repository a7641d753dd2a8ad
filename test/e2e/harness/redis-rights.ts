/** What a process may do in Redis by docs/operations.md, and what it does or might. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Redis } from 'ioredis';
import { repoRoot } from './child.ts';

/** A line `ACL SETUSER …` of the page. */
export interface Rights {
  readonly user: string;
  /** Of the line, with this password in the place of its own. */
  rules(password: string): string[];
  /** The commands it lets through, sorted, in lower case; of a container as `client|setname`. */
  readonly commands: readonly string[];
}

/** Every line of the page, by the name of its user. */
export function documentedRights(): Map<string, Rights> {
  const page = readFileSync(`${repoRoot}docs/operations.md`, 'utf8');
  const lines = [...page.matchAll(/^ACL SETUSER (\S+) (.+)$/gm)];
  return new Map(lines.map(([, user = '', rules = '']) => [user, rightsOf(user, rules.split(' '))]));
}

function rightsOf(user: string, tokens: readonly string[]): Rights {
  return {
    user,
    rules: (password) => tokens.map((token) => (token.startsWith('>') ? `>${password}` : token)),
    commands: tokens.filter((token) => /^\+[^@]/.test(token)).map((token) => token.slice(1)),
  };
}

/** Forgets which commands and scripts were run, and which were refused. */
export async function beginToWatch(admin: Redis): Promise<void> {
  await admin.script('FLUSH');
  await admin.call('ACL', 'LOG', 'RESET');
  await admin.config('RESETSTAT');
}

export interface Watched {
  /** Commands that were run, those of scripts included. */
  readonly used: readonly string[];
  /** What the rights did not allow, as Redis tells it: the object and why. */
  readonly refused: readonly string[];
  /** Names of the scripts of BullMQ that were run. */
  readonly bullScripts: readonly string[];
}

/** What everybody but `admin` did since `beginToWatch`. */
export async function watched(admin: Redis): Promise<Watched> {
  const stats = await admin.info('commandstats');
  const log = (await admin.call('ACL', 'LOG')) as string[][];
  const scripts = bullScripts();
  const known = (await admin.script('EXISTS', ...scripts.map(({ hash }) => hash))) as number[];
  return {
    used: [...stats.matchAll(/^cmdstat_(\S+?):calls=[1-9]/gm)]
      .map(([, name = '']) => beforeSeven.get(name) ?? name)
      .filter((name) => !withoutRights.test(name) && !ofAdmin.has(name)),
    refused: log.map((entry) => {
      const of = (field: string) => entry[entry.indexOf(field) + 1] ?? '';
      return `${of('username')} ${of('object')} (${of('reason')})`;
    }),
    bullScripts: scripts.filter((_, i) => known[i] === 1).map(({ name }) => name),
  };
}

/** Anybody may run these, logged in or not. */
const withoutRights = /^(auth|hello|quit|reset)$/;
/** Redis counts subcommands apart from 7.0 on; these are the ones that are run. */
const beforeSeven = new Map([
  ['client', 'client|setname'],
  ['config', 'config|resetstat'],
  ['acl', 'acl|setuser'],
]);
/** Ends `beginToWatch`, and changes of passwords. */
const ofAdmin = new Set(['config|resetstat', 'acl|setuser', 'client|kill']);

interface BullScript {
  readonly name: string;
  readonly hash: string;
  readonly text: string;
}

function bullScripts(): BullScript[] {
  const load = createRequire(import.meta.url);
  const folder = `${repoRoot}node_modules/bullmq/dist/cjs/scripts/`;
  return readdirSync(folder)
    .filter((file) => /-\d+\.js$/.test(file))
    .flatMap((file) =>
      Object.values(load(folder + file) as Record<string, { name: string; content: string }>),
    )
    .map(({ name, content }) => ({
      name,
      text: content,
      hash: createHash('sha1').update(content).digest('hex'),
    }));
}

/** Commands in scripts of BullMQ: any of them may be run with the next call of the script. */
export async function commandsOfBull(admin: Redis, names: Iterable<string>): Promise<string[]> {
  const wanted = new Set(names);
  const texts = bullScripts().filter(({ name }) => wanted.delete(name));
  if (wanted.size > 0) throw new Error(`BullMQ has no script ${[...wanted].join(', ')}`);
  return commandsIn(admin, texts.map(({ text }) => text).join('\n'));
}

/** Commands in scripts of ours, by their paths in the repository. */
export const commandsOfOurs = (admin: Redis, paths: readonly string[]): Promise<string[]> =>
  commandsIn(admin, paths.map((path) => readFileSync(repoRoot + path, 'utf8')).join('\n'));

/** Also those that a script hands to a function of its own: whatever is in quotes and the name of a command. */
async function commandsIn(admin: Redis, text: string): Promise<string[]> {
  const all = new Set(((await admin.call('COMMAND')) as [name: string][]).map(([name]) => name));
  const quoted = [...text.matchAll(/["']([A-Z]{2,})["']/g)].map(([, word = '']) => word.toLowerCase());
  return [...new Set(quoted)].filter((word) => all.has(word));
}
