/** Usage events that nobody can take: told one by one, counted, and kept on disk where they can be written at all. */
import { separate } from './fit.ts';
import type { UsageCounts } from './producer.ts';
import type { QueueLog } from './queue-log.ts';
import type { Spool } from './spool.ts';
import type { UsageEvent } from './usage-event.ts';

export class LostEvents {
  readonly #spool: Spool;
  readonly #counts: UsageCounts;
  readonly #log: QueueLog;

  /** @param counts counted into */
  constructor(spool: Spool, counts: UsageCounts, log: QueueLog) {
    this.#spool = spool;
    this.#counts = counts;
    this.#log = log;
  }

  /** Events that Redis takes not even without their bodies. */
  async keep(tooLarge: readonly UsageEvent[]): Promise<void> {
    for (const event of tooLarge) {
      const { event_id, request_id } = event;
      this.#counts.refused += 1;
      const cause = await this.#spool.keepRefused(event).then(
        () => undefined,
        (thrown: unknown) => String(thrown),
      );
      this.#log.error(
        { event_id, request_id, ...(cause === undefined ? {} : { cause }) },
        cause === undefined
          ? 'a usage event is too large for Redis even without its body; kept in refused.ndjson beside the spool'
          : 'a usage event is lost: it is too large for Redis even without its body, and for the disk',
      );
    }
  }

  /** Events that cannot be written as JSON. */
  drop(broken: readonly UsageEvent[]): void {
    for (const { event_id, request_id } of broken) {
      this.#counts.dropped += 1;
      this.#log.error({ event_id, request_id }, 'a usage event is lost: it cannot be written as JSON');
    }
  }

  /** What remains of a batch that could not be written as JSON; undefined when it can be. */
  remains(events: readonly UsageEvent[]): UsageEvent[] | undefined {
    const { sound, broken, bodiesOmitted } = separate(events);
    if (broken.length + bodiesOmitted === 0) return undefined;
    this.drop(broken);
    this.#counts.bodiesOmitted += bodiesOmitted;
    return sound;
  }
}
