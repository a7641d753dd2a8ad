import { followRevocations } from '@llmproxy/key-store';
import { startRedis } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { createLogger } from '@llmproxy/telemetry';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openConnections } from './connections.ts';

test('a channel that the ACL user may not read shows in the news, and one line tells of it', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const admin = connectRedis({ url: server.url, connectionName: 'spec', whenDown: 'queue' });
  onTestFinished(() => closeRedis(admin));
  await admin.call('ACL', 'SETUSER', 'default', 'resetchannels', '&lp:health');
  const log = createLogger({ level: 'error', app: 'spec' });
  const warn = vi.spyOn(log, 'warn');
  const { subscriber, news, close } = openConnections({ url: server.url }, log);
  onTestFinished(close);
  const feed = followRevocations({
    subscriber,
    ...news,
    onForget: () => undefined,
    onForgetAll: () => undefined,
  });
  onTestFinished(() => feed.close());
  await expect.poll(() => news.found(), { timeout: 10_000 }).toMatch(/^failing since .*: lp:keys: NOPERM /);
  await admin.call('ACL', 'SETUSER', 'default', 'allchannels');
  await expect
    .poll(() => news.found(), { timeout: 10_000 })
    .toMatch(/^ok; failed last at .*: lp:keys: NOPERM /);
  expect(warn).toHaveBeenCalledTimes(1);
  await server.stop();
  await expect.poll(() => news.found()).toMatch(/^failing since .*: connect E/);
});
