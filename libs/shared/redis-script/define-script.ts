/** A script inside Redis, called by its hash; its text travels only to a server that does not know it yet. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Cluster, Redis } from 'ioredis';

/** What runs a script: a connection to one server, or to a Redis Cluster. */
export type ScriptRunner = Pick<Redis | Cluster, 'eval' | 'evalsha'>;

export interface ScriptDefinition<Call, Raw, Reply> {
  /**
   * `new URL('…', import.meta.url)` of a `.lua` file beside it, in one expression and with plain quotes: the bundler
   * looks for that and puts the text in its place. Several files are one chunk, in this order: a `local` of one is seen
   * by the next.
   */
  readonly file: URL | readonly URL[];
  /** Every key the script touches; on a Redis Cluster they have to share one hash tag. */
  readonly keys: (call: Call) => readonly string[];
  readonly args: (call: Call) => readonly (string | number)[];
  /** What Redis answered, in words. */
  readonly reply: (raw: Raw) => Reply;
}

/** Runs the script once. Rejects with what Redis or the connection says. */
export type RedisScript<Call, Reply> = (redis: ScriptRunner, call: Call) => Promise<Reply>;

/** @throws Error when a file of the script cannot be read */
export function defineScript<Call, Raw, Reply>(
  definition: ScriptDefinition<Call, Raw, Reply>,
): RedisScript<Call, Reply> {
  const files = definition.file instanceof URL ? [definition.file] : definition.file;
  const text = files.map(textOf).join('\n');
  const hash = createHash('sha1').update(text).digest('hex');
  return async (redis, call) => {
    const keys = definition.keys(call);
    const rest = [...keys, ...definition.args(call)];
    try {
      return definition.reply((await redis.evalsha(hash, keys.length, ...rest)) as Raw);
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      return definition.reply((await redis.eval(text, keys.length, ...rest)) as Raw);
    }
  };
}

function textOf(file: URL): string {
  if (file.protocol !== 'data:') return readFileSync(file, 'utf8');
  return decodeURIComponent(file.href.slice(file.href.indexOf(',') + 1));
}

const isUnknownScript = (error: unknown): boolean =>
  error instanceof Error && error.message.startsWith('NOSCRIPT');
