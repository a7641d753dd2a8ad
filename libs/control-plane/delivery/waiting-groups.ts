/**
 * Few jobs with many events each instead of many with few: what is left of a failed attempt joins a group that waits for
 * the same attempt already. Its events keep their number of attempts, and their pause is at least half of what it would be.
 */
import { defineScript, type ScriptRunner } from '@llmproxy/redis-script';
import type { UsageEvent } from '@llmproxy/usage-queue';
import type { Job, Queue } from 'bullmq';
import { slots } from './core/slots.ts';
import { fitsGroup } from './delivery-jobs.ts';

interface Call {
  delayed: string;
  waiting: { key: string; id: string };
  from: string;
  events: readonly UsageEvent[];
}

const joinWaiting = defineScript<Call, number, boolean>({
  file: new URL('./join-waiting.lua', import.meta.url),
  keys: ({ delayed, waiting, from }) => [delayed, waiting.key, from],
  args: ({ waiting, events }) => [waiting.id, JSON.stringify(events)],
  reply: (raw) => raw === 1,
});

interface WaitingGroup {
  id: string;
  events: UsageEvent[];
  untilMs: number;
}

export class WaitingGroups {
  readonly #redis: ScriptRunner;
  readonly #queue: Queue<UsageEvent[]>;
  /** The last one that began to wait, by how many attempts it has behind it. */
  readonly #last = new Map<number, WaitingGroup>();
  // One at a time: each writes all events of the group.
  readonly #inTurn = slots(1);

  constructor(redis: ScriptRunner, queue: Queue<UsageEvent[]>) {
    this.#redis = redis;
    this.#queue = queue;
  }

  /** The job waits for its next attempt from now on, and others may join it during the first half of that. */
  begin({ id = '', data, attemptsMade, delay }: Job<UsageEvent[]>): void {
    this.#last.set(attemptsMade, { id, events: data, untilMs: performance.now() + delay / 2 });
  }

  /** Whether all events of a job whose attempt failed have joined a group: then the job has none left and is done. */
  join(job: Job<UsageEvent[]>): Promise<boolean> {
    return this.#inTurn(async () => {
      const attempts = job.attemptsMade + 1;
      const group = this.#last.get(attempts);
      if (group === undefined || performance.now() > group.untilMs) return false;
      const events = [...group.events, ...job.data];
      if (!fitsGroup(events)) return false;
      const joined = await joinWaiting(this.#redis, {
        delayed: this.#queue.toKey('delayed'),
        waiting: { key: this.#queue.toKey(group.id), id: group.id },
        from: this.#queue.toKey(job.id ?? ''),
        events,
      });
      if (joined) group.events = events;
      else this.#last.delete(attempts);
      return joined;
    });
  }
}
