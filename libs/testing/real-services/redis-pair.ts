/** A primary and its replica behind one address, as managed services and operators of Kubernetes keep them. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { startFixedAddress } from './fixed-address.ts';
import { onFreePort } from './free-port.ts';
import { onRedis } from './on-redis.ts';
import type { PrivateServer } from './private-server.ts';
import { startRedis, type RedisChoice } from './redis.ts';

/** `url` always leads to the primary. */
export interface RedisPair extends PrivateServer {
  /**
   * The replica becomes the primary, without the loss of a write, and the primary its replica. Connections to the old one
   * stay open: it answers what writes with READONLY.
   */
  failOver(): Promise<void>;
}

const pollMs = 10;

export async function startRedisPair(choice: RedisChoice = {}): Promise<RedisPair> {
  const first = await startMember(choice);
  const second = await startMember(choice, { replicaof: `127.0.0.1 ${first.port}` });
  const members = [first, second];
  const address = await startFixedAddress(first.port);
  const stop = async (): Promise<void> => {
    await address.close();
    await Promise.all(members.map(({ server }) => server.stop()));
  };
  let [primary, replica] = [first, second];
  return {
    url: `redis://127.0.0.1:${address.port}`,
    async failOver() {
      await until(primary, 'replication', /state=online/);
      await onRedis(primary.server.url, (redis) => redis.call('FAILOVER', 'TO', '127.0.0.1', replica.port));
      await until(replica, 'replication', /role:master/);
      await until(primary, 'replication', /role:slave/);
      address.pointTo(replica.port);
      [primary, replica] = [replica, primary];
    },
    stop,
    unref: () => members.forEach(({ server }) => server.unref()),
  };
}

interface Member {
  readonly port: number;
  readonly server: PrivateServer;
}

function startMember(choice: RedisChoice, settings: Record<string, string> = {}): Promise<Member> {
  const own = (port: number) => ({
    port: String(port),
    bind: '127.0.0.1',
    'repl-diskless-sync-delay': '0',
    ...choice.settings,
    ...settings,
  });
  return onFreePort((port) => startRedis({ ...choice, settings: own(port) }));
}

async function until({ server }: Member, section: string, sought: RegExp): Promise<void> {
  const isThere = async (redis: Redis): Promise<boolean> => sought.test(await redis.info(section));
  while (!(await onRedis(server.url, isThere))) await delay(pollMs);
}
