import { startRedisCluster } from '@llmproxy/real-services';
import { bullPrefix } from '@llmproxy/redis';
import { setTimeout as pause } from 'node:timers/promises';
import type { Place } from './scenario.ts';
import { allResumed, seconds, type Part, type PartReport } from './stores-part.ts';
import { startStoresStand } from './stores-stand.ts';

const outages = 10;
const deadMs = { least: 5_000, most: 60_000 };

/** One length out of each tenth of the range, in random order. */
function lengths(): number[] {
  const step = (deadMs.most - deadMs.least) / outages;
  const drawn = Array.from({ length: outages }, (_, i) => deadMs.least + step * (i + Math.random()));
  return drawn
    .map((ms) => ({ ms, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ ms }) => ms);
}

async function run(place: Place): Promise<PartReport> {
  const settings = {
    appendonly: 'yes',
    appendfsync: 'always',
    'cluster-require-full-coverage': 'yes',
  };
  const cluster = await startRedisCluster({ settings });
  place.children.alsoStop(() => cluster.stop());
  await using stand = await startStoresStand(place, { url: cluster.url, cluster: true });
  const holder = await cluster.masterOf(bullPrefix);
  const rows: string[][] = [];
  const byWorker: (number | undefined)[] = [];
  const byScheduler: (number | undefined)[] = [];
  await stand.resumed();
  for (const ms of lengths()) {
    const shard = cluster.masters[Math.floor(Math.random() * cluster.masters.length)] ?? holder;
    const before = stand.load.admitted.length;
    await shard.kill();
    await pause(ms);
    await shard.restart();
    const during = stand.load.admitted.length - before;
    const { worker, scheduler } = await stand.resumed();
    byWorker.push(worker);
    byScheduler.push(scheduler);
    const which = shard === holder ? 'of the queues' : 'another';
    rows.push([`${rows.length + 1}`, which, seconds(ms), `${during}`, seconds(worker), seconds(scheduler)]);
    place.say(`shard ${which} dead for ${seconds(ms)} s; all rows there ${seconds(worker)} s later`);
  }
  const checks = [
    allResumed('the worker consumes again after each outage', byWorker),
    allResumed('the scheduler probes again after each outage', byScheduler),
    ...(await stand.end()),
  ];
  const head = ['outage', 'shard', 'dead s', 'admitted in it', 'all rows there after s', 'probed after s'];
  return { checks, head, rows };
}

export const shard: Part = {
  title: 'A shard of a Redis Cluster is dead',
  what: `Three masters without replicas, \`cluster-require-full-coverage yes\` (the default: the others answer CLUSTERDOWN). One of them, drawn by lot, is killed and started again on its data after ${deadMs.least / 1_000} to ${deadMs.most / 1_000} s.`,
  run,
};
