/**
 * Few jobs with many events each instead of many with few: what is left of a failed attempt joins a group that waits for
 * the same attempt already. Its events keep their number of attempts, and their pause is at least half of what it would be.
 */
import { defineScript } from '@llmproxy/redis-script';
import type { UsageEvent } from '@llmproxy/usage-queue';
import type { Job } from 'bullmq';
import { slots } from './core/slots.ts';
import { fitsGroup } from './delivery-jobs.ts';
import { dataOf, keysOf, type JobUnderWay } from './job-under-way.ts';

interface WaitingGroup {
  id: string;
  attempts: number;
  /** As far as we know: another worker may have changed it. */
  events: UsageEvent[];
  untilMs: number;
}

interface Call {
  from: JobUnderWay;
  group: WaitingGroup;
  together: readonly UsageEvent[];
}

const joinWaiting = defineScript<Call, number, boolean>({
  file: new URL('./join-waiting.lua', import.meta.url),
  keys: ({ from, group }) => [from.queue.toKey('delayed'), from.queue.toKey(group.id), ...keysOf(from)],
  args: ({ from: { job, token }, group, together }) => [
    ...[group.id, group.attempts, dataOf(group.events)],
    ...[token, dataOf(job.data), dataOf(together)],
  ],
  reply: (raw) => raw === 1,
});

export class WaitingGroups {
  /** The last one that began to wait, by how many attempts it has behind it. */
  readonly #last = new Map<number, WaitingGroup>();
  // One at a time: each writes all events of the group.
  readonly #inTurn = slots(1);

  /** The job waits for its next attempt from now on, and others may join it during the first half of that. */
  begin({ id = '', data, attemptsMade: attempts, delay }: Job<UsageEvent[]>): void {
    this.#last.set(attempts, { id, attempts, events: data, untilMs: performance.now() + delay / 2 });
  }

  /**
   * Whether all events of a job whose attempt failed have joined a group: then the job has none left and is done. Else it
   * keeps them, also when the group has gone on without our knowing or the job is another worker's by now.
   */
  join(from: JobUnderWay): Promise<boolean> {
    return this.#inTurn(async () => {
      const attempts = from.job.attemptsMade + 1;
      const group = this.#last.get(attempts);
      if (group === undefined || performance.now() > group.untilMs) return false;
      const together = [...group.events, ...from.job.data];
      if (!fitsGroup(together)) return false;
      const joined = await joinWaiting(from.redis, { from, group, together });
      if (joined) group.events = together;
      else this.#last.delete(attempts);
      return joined;
    });
  }
}
