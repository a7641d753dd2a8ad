import { startRedisPair } from '@llmproxy/real-services';
import { setTimeout as pause } from 'node:timers/promises';
import type { Place } from './scenario.ts';
import { allResumed, seconds, type Part, type PartReport } from './stores-part.ts';
import { startStoresStand } from './stores-stand.ts';

const failovers = 5;
const betweenMs = 15_000;

async function run(place: Place): Promise<PartReport> {
  const servers = await startRedisPair();
  place.children.alsoStop(() => servers.stop());
  await using stand = await startStoresStand(place, { url: servers.url });
  const rows: string[][] = [];
  const byWorker: (number | undefined)[] = [];
  const byScheduler: (number | undefined)[] = [];
  await stand.resumed();
  for (let count = 1; count <= failovers; count += 1) {
    await pause(betweenMs);
    const startedMs = performance.now();
    await servers.failOver();
    const took = performance.now() - startedMs;
    const { worker, scheduler } = await stand.resumed();
    byWorker.push(worker);
    byScheduler.push(scheduler);
    rows.push([`${count}`, seconds(took), seconds(worker), seconds(scheduler)]);
    place.say(`failover ${count}; all rows there ${seconds(worker)} s later`);
  }
  const checks = [
    allResumed('the worker consumes again after each failover', byWorker),
    allResumed('the scheduler probes again after each failover', byScheduler),
    ...(await stand.end()),
  ];
  return { checks, head: ['failover', 'took s', 'all rows there after s', 'probed after s'], rows };
}

export const failover: Part = {
  title: 'A primary fails over behind a fixed address',
  what: 'A primary and its replica change places (`FAILOVER`), and the address that leads to the primary follows. Connections to the old primary stay open: it answers what writes with READONLY.',
  run,
};
