import { startRedis } from '@llmproxy/real-services';
import { expect, onTestFinished, test, vi } from 'vitest';
import { closeRedis, connectRedis, followChannel } from './index.ts';

test('a channel that Redis refuses is told, and heard from when it is granted', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const connect = (url: string) => {
    const redis = connectRedis({ url, connectionName: 'spec', whenDown: 'queue' });
    onTestFinished(() => closeRedis(redis));
    return redis;
  };
  const admin = connect(server.url);
  await admin.call('ACL', 'SETUSER', 'default', 'resetchannels');
  const told: string[] = [];
  const channel = followChannel(connect(server.url), 'lp:keys', (message) => told.push(`heard ${message}`), {
    onSubscribed: (name) => told.push(`subscribed to ${name}`),
    onRefused: (name, cause) => told.push(`${name} refused: ${cause}`),
  });
  onTestFinished(() => channel.close());
  await vi.waitUntil(() => told.length > 0);
  expect(told[0]).toMatch(/^lp:keys refused: NOPERM /);
  await admin.call('ACL', 'SETUSER', 'default', 'allchannels');
  await vi.waitUntil(() => told.includes('subscribed to lp:keys'), { timeout: 10_000 });
  await admin.publish('lp:keys', 'hello');
  await vi.waitUntil(() => told.at(-1) === 'heard hello');
});

test('a channel that is taken away while it is followed is told, and heard from when it is given back', async () => {
  const server = await startRedis();
  onTestFinished(() => server.stop());
  const connect = () => {
    const redis = connectRedis({ url: server.url, connectionName: 'spec', whenDown: 'queue' });
    onTestFinished(() => closeRedis(redis));
    return redis;
  };
  const admin = connect();
  const told: string[] = [];
  const channel = followChannel(connect(), 'lp:keys', (message) => told.push(`heard ${message}`), {
    onSubscribed: () => told.push('subscribed'),
    onRefused: (_, cause) => told.push(cause),
  });
  onTestFinished(() => channel.close());
  await vi.waitUntil(() => told.length > 0);
  await admin.call('ACL', 'SETUSER', 'default', 'resetchannels'); // Redis breaks connections that listen
  await vi.waitUntil(() => told.at(-1)?.startsWith('NOPERM '), { timeout: 10_000 });
  await admin.call('ACL', 'SETUSER', 'default', 'allchannels');
  await vi.waitUntil(() => told.at(-1) === 'subscribed', { timeout: 10_000 });
  await admin.publish('lp:keys', 'hello');
  await vi.waitUntil(() => told.at(-1) === 'heard hello');
});
