/** Nowhere to send a request: what clients are told, in both dialects. */
import { startFakeBackend } from '@llmproxy/fake-backend';
import { redisForTests } from '@llmproxy/real-services';
import { publishVerdict } from '@llmproxy/health-verdicts';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { describe, expect, test } from 'vitest';
import { startGateway } from './harness/gateway.ts';
import { send } from './harness/http-client.ts';
import { exchange } from './harness/raw-http.ts';
import { dialects, expectRefusal, withBody } from './harness/refusal.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

describe.each(dialects)('in the %s dialect', (dialect, path) => {
  const body = JSON.stringify({ model: 'm', max_tokens: 1, messages: [] });

  test('a backend that refuses connections is told as 502', async () => {
    await using folder = tempFolder();
    await using redis = await redisForTests();
    const gone = await startFakeBackend();
    const { url } = gone;
    await gone.close();
    await using alone = await startGateway({
      folder: folder.path,
      redisUrl: redis.url,
      backends: [{ name: 'gone', url }],
      config: { server: { workers: 1 } },
    });
    expectRefusal(await exchange(alone.address, withBody(path, body)), {
      dialect,
      status: 502,
      code: 'backend_unreachable',
    });
  });

  test('backends that all fail their health checks are told as unavailable, with when to come back', async () => {
    await using folder = tempFolder();
    await using backend = await startFakeBackend();
    await using redis = await redisForTests();
    await using alone = await startGateway({
      folder: folder.path,
      redisUrl: redis.url,
      backends: [{ name: 'sick', url: backend.url }],
      config: { server: { workers: 1 }, health_check: { interval: '10s' } },
    });
    const connection = connectRedis({ url: redis.url, connectionName: 'tests', whenDown: 'queue' });
    await publishVerdict(connection, {
      backend: 'sick',
      healthy: false,
      streak: 3,
      checkedAtMs: Date.now(),
      latencyMs: null,
      error: 'status 500',
    });
    await closeRedis(connection);
    const status = dialect === 'OpenAI' ? 503 : 529;
    const answer = await until('the verdict arrived', async () => {
      const found = await exchange(alone.address, withBody(path, body));
      return found.status === status && found;
    });
    expectRefusal(answer, { dialect, status, code: 'no_backend' });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    const stream = await send(alone.address, path, {
      body: { model: 'm', stream: true, max_tokens: 1, messages: [] },
    });
    expect(stream.status).toBe(status);
  });
});
