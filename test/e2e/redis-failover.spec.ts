/** The primary of Redis changes behind a fixed address, and the connections to the one before stay open. */
import { openai, startFakeBackend } from '@llmproxy/fake-backend';
import { hashOfKey, keyIdOfHash } from '@llmproxy/key-store';
import { startRedisPair } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { bearer } from './harness/authenticated.ts';
import { databaseIn, startGateway, startWorker } from './harness/gateway.ts';
import { fetchText } from './harness/http-client.ts';
import { llmproxy } from './harness/refused-config.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

const body = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };

test('limits, keys and usage go on with the new primary, without a restart', async () => {
  await using folder = tempFolder();
  await using backend = await startFakeBackend({ plays: { '/v1/chat/completions': openai.chat() } });
  const servers = await startRedisPair();
  await using _servers = { [Symbol.asyncDispose]: () => servers.stop() };
  await using gateway = await startGateway({
    folder: folder.path,
    redisUrl: servers.url,
    backends: [{ name: 'fake', url: backend.url }],
    config: {
      auth: { pipeline: [{ name: 'store', type: 'builtin' }] },
      rate_limit: { enabled: true, per_key: { requests_per_minute: 5 } },
    },
  });
  await using _worker = await startWorker(folder.path);
  const redis = connectRedis({ url: servers.url, connectionName: 'tests', whenDown: 'queue' });
  await using _redis = { [Symbol.asyncDispose]: () => closeRedis(redis) };
  let served = 0;
  const serve = async (key: string): Promise<number> => {
    const { status } = await fetchText(gateway.address, '/v1/chat/completions', {
      body,
      headers: bearer(key),
    });
    if (status === 200) served += 1;
    return status;
  };
  const rows = (): number => {
    using database = new DatabaseSync(databaseIn(folder.path), { readOnly: true });
    return Number(database.prepare('SELECT count(*) AS rows FROM usage_records').get()?.['rows']);
  };

  for (const failovers of [0, 1, 2]) {
    if (failovers > 0) await servers.failOver();
    const key = await llmproxy(folder.path, 'keys', 'add', '--name', `team-${failovers}`);
    await until('the new key is known', async () => (await serve(key)) === 200);
    const window = `lp:{k:${keyIdOfHash(hashOfKey(key))}}:*`;
    await until('its requests are counted in Redis', async () => {
      await serve(key);
      return (await redis.keys(window)).length > 0;
    });
    await until('its limit is reached', async () => (await serve(key)) === 429);
    await until('each served request has a row', () => rows() === served);
  }
  // Five of the first key. What was granted while the connection broke may count twice for a minute, so of the others fewer.
  expect(served).toBeGreaterThanOrEqual(5 + 1 + 1);
}, 90_000);
