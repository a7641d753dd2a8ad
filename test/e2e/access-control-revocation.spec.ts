/** A key that was changed is what it is now, on every worker of every gateway. */
import { hashOfKey, keyIdOfHash, publishRevocation } from '@llmproxy/key-store';
import { play, startFakeBackend, type FakeBackend } from '@llmproxy/fake-backend';
import { redisForTests } from '@llmproxy/real-services';
import { closeRedis, connectRedis } from '@llmproxy/redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bearer, changesAreHeard, outcomeOf, startGuarded } from './harness/authenticated.ts';
import { startFleet, type Fleet } from './harness/fleet.ts';
import { llmproxy } from './harness/refused-config.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';

const elsewhere = 'sk-e2e-kept-elsewhere';
/** Connections go to the workers in turn, so this reaches all of them, several times. */
const workersReached = 24;

const resources = new AsyncDisposableStack();
afterAll(() => resources.disposeAsync());
let fleet: Fleet;
let firstFolder: string;
let service: FakeBackend;
let redis: ReturnType<typeof connectRedis>;

beforeAll(async () => {
  const folder = resources.use(tempFolder()).path;
  const place = resources.use(await redisForTests());
  redis = connectRedis({ url: place.url, connectionName: 'tests', whenDown: 'queue' });
  resources.defer(() => closeRedis(redis));
  const backend = resources.use(await startFakeBackend());
  service = resources.use(await startFakeBackend({ plays: { '/keys': play.json({}, { status: 404 }) } }));
  // So long that only word of a change can empty it while the tests run.
  const cache = { ttl: '10m', negative_ttl: '10m' };
  fleet = resources.use(
    await startFleet(2, {
      folder,
      redisUrl: place.url,
      backends: [{ name: 'fake', url: backend.url }],
      config: {
        usage: { enabled: false, reporters: [] },
        auth: {
          failure_limit: { enabled: false },
          pipeline: [
            { name: 'store', type: 'builtin', cache },
            { name: 'service', type: 'webhook', webhook: { url: `${service.url}/keys` }, cache },
          ],
        },
      },
    }),
  );
  firstFolder = `${folder}/gateway-0`;
  await changesAreHeard(place.url, 4);
});

const everywhere = (key: string, outcome: string) =>
  until(`${outcome} on every worker`, async () => {
    for (let i = 0; i < workersReached; i++) {
      if ((await outcomeOf(fleet.next(), bearer(key))) !== outcome) return false;
    }
    return true;
  });

describe('14 · revocation', () => {
  test('a key that is made, disabled, enabled or removed is that on all workers of all gateways at once', async () => {
    const key = await llmproxy(firstFolder, 'keys', 'add', '--name', 'ci');
    await everywhere(key, '200');
    await llmproxy(firstFolder, 'keys', 'disable', 'ci');
    await everywhere(key, '403 key_not_active');
    await llmproxy(firstFolder, 'keys', 'enable', 'ci');
    await everywhere(key, '200');
    await llmproxy(firstFolder, 'keys', 'remove', 'ci');
    await everywhere(key, '401 invalid_api_key');
  });

  test('a key that is kept elsewhere is asked for again when its keeper says so', async () => {
    service.on('/keys', play.json({ status: 'active' }));
    await everywhere(elsewhere, '200');
    service.on('/keys', play.json({ status: 'disabled' }));
    // Without a word the cache goes on: were it not so, this would be no test of the word.
    expect(await outcomeOf(fleet.next(), bearer(elsewhere))).toBe('200');
    await publishRevocation(redis, { keyId: keyIdOfHash(hashOfKey(elsewhere)) });
    await everywhere(elsewhere, '403 key_not_active');
    service.on('/keys', play.json({ status: 'active' }));
    await publishRevocation(redis, { all: true });
    await everywhere(elsewhere, '200');
  });
});

describe('14 · revocation of which no word arrives', () => {
  test('is seen when the cache, of a second by default, has expired; so is a key that is new', async () => {
    await using guarded = await startGuarded({
      server: { workers: 2 },
      auth: { pipeline: [{ name: 'store', type: 'builtin' }] },
    });
    const store = connectRedis({ url: guarded.redisUrl, connectionName: 'tests', whenDown: 'queue' });
    await using _ = { [Symbol.asyncDispose]: () => closeRedis(store) };
    const become = (key: string) => outcomeOf(guarded.gateway.address, bearer(key));
    const key = await llmproxy(guarded.folder, 'keys', 'add', '--name', 'ci');
    const name = `lp:keys:${hashOfKey(key)}`;
    const record = JSON.parse((await store.get(name)) ?? '') as object;
    expect(await become(key)).toBe('200');
    await store.set(name, JSON.stringify({ ...record, status: 'disabled' }));
    await until('it is refused', async () => (await become(key)) === '403 key_not_active');
    await store.del(name);
    await until('it is unknown', async () => (await become(key)) === '401 invalid_api_key');
    await store.set(name, JSON.stringify(record));
    await until('it is known again', async () => (await become(key)) === '200');
  });
});
