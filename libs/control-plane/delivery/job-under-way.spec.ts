/** Workers that are slow, stopped or cut off, beside others that go on: an event may be delivered twice, but never vanish. */
import { redisClusterForTests, redisForTests } from '@llmproxy/real-services';
import type { UsageEvent } from '@llmproxy/usage-queue';
import { Worker, type Job } from 'bullmq';
import { expect, onTestFinished, test } from 'vitest';
import { bury } from './delivery-jobs.ts';
import type { Reporter } from './index.ts';
import { connect, deliver, freshRedis, soon, usageEvent } from './spec-delivery.ts';
import { WaitingGroups } from './waiting-groups.ts';

const another = 'another worker';

/** What is queued for the reporter, taken up and failed step by step, in the name of any worker. */
async function queued(forTests = redisForTests) {
  const redis = await freshRedis(forTests);
  const { connection, queue } = connect(redis);
  const worker = new Worker<UsageEvent[]>(queue.name, null, {
    connection: connect(redis).connection,
    prefix: queue.opts.prefix ?? '',
    autorun: false,
  });
  onTestFinished(() => worker.close());
  const add = (id: string, events: UsageEvent[]) =>
    queue.add('event', events, { jobId: id, attempts: 8, backoff: { type: 'fixed', delay: 3_600_000 } });
  /** The job that is next in the queue. */
  const take = async (token: string): Promise<Job<UsageEvent[]>> => {
    const job = (await worker.getNextJob(token, { block: false })) as Job<UsageEvent[]> | undefined;
    if (job === undefined) throw new Error('no job waits');
    return job;
  };
  const addAndTake = async (id: string, events: UsageEvent[], token: string) => {
    await add(id, events);
    return take(token);
  };
  const fail = (job: Job, token: string) => job.moveToFailed(new Error('answered 500'), token);
  const held = (job: Job<UsageEvent[]>, token: string) => ({ redis: connection, queue, job, token });
  const eventsIn = async (id: string) => (await queue.getJob(id))?.data.map(({ event_id }) => event_id);
  const groups = () => new WaitingGroups();
  const lockOf = (id: string) => `${queue.toKey(id)}:lock`;
  return { redis, connection, queue, take, addAndTake, fail, held, eventsIn, groups, lockOf };
}

/** Two workers have seen the job `w` of `e1` begin to wait; another job of `e2` fails on `A`, one of `e3` on `B`. */
async function twoWorkers(forTests = redisForTests) {
  const on = await queued(forTests);
  const [e1, e2, e3] = [usageEvent(), usageEvent(), usageEvent()];
  const [groupsOfA, groupsOfB] = [on.groups(), on.groups()];
  const waiting = await on.addAndTake('w', [e1], 'A');
  await on.fail(waiting, 'A');
  for (const groups of [groupsOfA, groupsOfB]) groups.begin(waiting);
  const ofA = on.held(await on.addAndTake('of-a', [e2], 'A'), 'A');
  const ofB = on.held(await on.addAndTake('of-b', [e3], 'B'), 'B');
  return { ...on, ids: [e1.event_id, e2.event_id, e3.event_id], groupsOfA, groupsOfB, ofA, ofB };
}

test.each([
  { kind: 'one server', forTests: redisForTests },
  { kind: 'a cluster', forTests: redisClusterForTests },
])('of two workers that put events into one group the second keeps its own ($kind)', async ({ forTests }) => {
  const { groupsOfA, groupsOfB, ofA, ofB, eventsIn, ids } = await twoWorkers(forTests);
  const [e1, e2, e3] = ids;
  expect(await groupsOfB.join(ofB)).toBe(true);
  expect(await eventsIn('of-b')).toEqual([]);
  expect(await groupsOfA.join(ofA)).toBe(false);
  expect(await eventsIn('w')).toEqual([e1, e3]);
  expect(await eventsIn('of-a')).toEqual([e2]);
});

test('events do not join a group that has made a further attempt meanwhile and waits again', async () => {
  const { groupsOfA, ofA, queue, take, fail, eventsIn, ids } = await twoWorkers();
  const [e1, e2] = ids;
  await (await queue.getJob('w'))?.promote();
  await fail(await take('B'), 'B');
  expect(await groupsOfA.join(ofA)).toBe(false);
  expect(await eventsIn('w')).toEqual([e1]);
  expect(await eventsIn('of-a')).toEqual([e2]);
});

test.each([
  { what: 'is held by another worker', lock: another },
  { what: 'is held by nobody', lock: undefined },
])('events of a job that $what do not join a group', async ({ lock }) => {
  const { groupsOfA, ofA, connection, lockOf, eventsIn, ids } = await twoWorkers();
  const [e1, e2] = ids;
  await connection.del(lockOf('of-a'));
  if (lock !== undefined) await connection.set(lockOf('of-a'), lock);
  expect(await groupsOfA.join(ofA)).toBe(false);
  expect(await eventsIn('w')).toEqual([e1]);
  expect(await eventsIn('of-a')).toEqual([e2]);
});

test('a job that is gone is not made anew, empty, by joining a group', async () => {
  const { groupsOfA, ofA, connection, queue } = await twoWorkers();
  await connection.del(queue.toKey('of-a'));
  expect(await groupsOfA.join(ofA)).toBe(false);
  expect(await connection.exists(queue.toKey('of-a'))).toBe(0);
});

test('events whose worker asks a second time, because it did not hear the answer, have joined', async () => {
  const { groupsOfA, groupsOfB, ofA, eventsIn, ids } = await twoWorkers();
  const [e1, e2] = ids;
  expect(await groupsOfA.join(ofA)).toBe(true);
  expect(await groupsOfB.join(ofA)).toBe(true);
  expect(await eventsIn('w')).toEqual([e1, e2]);
});

/** A destination that takes so many events and fails for the others, after `during` has happened. */
function failsLate(takes: number, during: () => Promise<unknown>): Reporter & { tried: string[] } {
  const tried: string[] = [];
  return {
    tried,
    name: 'billing',
    unit: 'event',
    attemptsMax: 8,
    concurrency: 1,
    schedule: soon,
    deliver: async ([event]) => {
      tried.push(event?.event_id ?? '');
      if (tried.length <= takes) return;
      await during();
      throw new Error('answered 500');
    },
    isAway: () => false,
    close: () => Promise.resolve(),
  };
}

test.each([
  { what: 'part of it was delivered', takes: 1, attempts: 8 },
  { what: 'its last attempt failed', takes: 0, attempts: 1 },
])(
  'a worker leaves a job alone that another one has taken over when $what, and buries nothing',
  async ({ takes, attempts }) => {
    const { redis, connection, queue, lockOf, eventsIn } = await queued();
    const [e0, e1, e2, e3] = [usageEvent(), usageEvent(), usageEvent(), usageEvent()];
    const job = queue.toKey('group');
    const takeOver = async () => {
      await connection.set(lockOf('group'), another);
      await connection.hset(job, 'data', JSON.stringify([e1, e3]));
    };
    const reporter = failsLate(takes, takeOver);
    const { close } = deliver(redis, [reporter]);
    await queue.add('event', [e0, e1, e2], { jobId: 'group', attempts, backoff: { type: 'custom' } });
    await expect.poll(() => reporter.tried, { timeout: 10_000 }).toHaveLength(3);
    await close(5_000);
    expect(await eventsIn('group')).toEqual([e1.event_id, e3.event_id]);
    expect(await queue.getFailedCount()).toBe(0);
    expect(await connection.exists(queue.toKey(e1.event_id), queue.toKey(e2.event_id))).toBe(0);
  },
);

test('a burial that Redis refused half-way is whole when it is repeated', async () => {
  const { connection, queue, addAndTake, held, eventsIn } = await queued();
  const events = [usageEvent(), usageEvent()];
  const group = held(await addAndTake('group', events, 'A'), 'A');
  const failures = events.map((event) => ({ event, cause: new Error('answered 500') }));
  await connection.set(queue.toKey('wait'), 'not a list');
  await expect(bury(group, failures)).rejects.toThrow('WRONGTYPE');
  await connection.del(queue.toKey('wait'));
  await bury(group, failures);
  expect(await eventsIn('group')).toEqual([]);
  const letters = await queue.getWaiting();
  expect(letters.map(({ id }) => id).toSorted()).toEqual(events.map(({ event_id }) => event_id).toSorted());
});
