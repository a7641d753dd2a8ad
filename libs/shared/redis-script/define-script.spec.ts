import { connectRedis, closeRedis } from '@llmproxy/redis';
import { redisForTests } from '@llmproxy/real-services';
import { expect, test } from 'vitest';
import { defineScript } from './index.ts';

const addAll = defineScript({
  file: [new URL('./spec/arguments.lua', import.meta.url), new URL('./spec/add-all.lua', import.meta.url)],
  keys: (call: { keys: string[]; more: number }) => call.keys,
  args: ({ more }) => [more],
  reply: (total: number) => ({ total }),
});

async function withRedis(run: (redis: ReturnType<typeof connectRedis>) => Promise<void>) {
  await using place = await redisForTests();
  const redis = connectRedis({ url: place.url, connectionName: 'spec', whenDown: 'queue' });
  await run(redis).finally(() => closeRedis(redis));
}

test('files of one script are one chunk', () =>
  withRedis(async (redis) => {
    await redis.mset('a', 1, 'b', 2);
    expect(await addAll(redis, { keys: ['a', 'b', 'c'], more: 4 })).toEqual({ total: 7 });
  }));

test('a server that forgot its scripts is told the text again', () =>
  withRedis(async (redis) => {
    await addAll(redis, { keys: [], more: 1 });
    await redis.script('FLUSH');
    expect(await addAll(redis, { keys: [], more: 2 })).toEqual({ total: 2 });
  }));

test('an error of the script reaches the caller, and the script is not run again', () =>
  withRedis(async (redis) => {
    await redis.hset('a', 'not', 'a counter');
    await expect(addAll(redis, { keys: ['a'], more: 0 })).rejects.toThrow('WRONGTYPE');
  }));

test('a text that was bundled into the program is read from there', () =>
  withRedis(async (redis) => {
    const bundled = defineScript({
      file: new URL(`data:text/x-lua,${encodeURIComponent("return '50% ' .. ARGV[1]\n")}`),
      keys: () => [],
      args: (word: string) => [word],
      reply: (raw: string) => raw,
    });
    expect(await bundled(redis, 'off')).toBe('50% off');
  }));
