/** Events as they can travel: in batches that Redis takes, without a body that makes them too large. */
import { inBatches, type BatchBounds } from './batch.ts';
import { eventBytes } from './event-size.ts';
import type { UsageEvent } from './usage-event.ts';

export interface SizeBounds extends BatchBounds {
  /** Of the JSON of a batch of one event. */
  single: number;
}

export interface Fit {
  batches: UsageEvent[][];
  /** Events whose body was left out. */
  bodiesOmitted: number;
  /** Too large even without their bodies. */
  tooLarge: UsageEvent[];
  /** Cannot be written as JSON, not even without their bodies. */
  broken: UsageEvent[];
}

const brackets = 2;

/** Keeps the order of the events. A body that is left out is replaced by `{"omitted":<why>}`, as the SQL ledger does. */
export function fit(events: readonly UsageEvent[], bounds: SizeBounds): Fit {
  const result: Fit = { batches: [], bodiesOmitted: 0, tooLarge: [], broken: [] };
  const { sound, ...broken } = sortOut(events);
  Object.assign(result, broken);
  const fitting: UsageEvent[] = [];
  for (const event of sound) {
    const slim = eventBytes(event) + brackets > bounds.single ? withoutLargeBody(event) : event;
    if (slim !== event) result.bodiesOmitted += 1;
    if (eventBytes(slim) + brackets > bounds.single) result.tooLarge.push(event);
    else fitting.push(slim);
  }
  result.batches = inBatches(fitting, bounds);
  return result;
}

/** What of the events can be written as JSON; a body that cannot is left out. Looks only at those whose size is measured. */
function sortOut(events: readonly UsageEvent[]) {
  return separate(events, (event) => eventBytes(event));
}

/** As `sortOut`, of every event. */
export function separate(
  events: readonly UsageEvent[],
  write: (event: UsageEvent) => unknown = (event) => JSON.stringify(event),
): { sound: UsageEvent[] } & Pick<Fit, 'broken' | 'bodiesOmitted'> {
  const sound: UsageEvent[] = [];
  const broken: UsageEvent[] = [];
  let bodiesOmitted = 0;
  for (const event of events) {
    const bare = { ...event, request_body: { omitted: 'not serializable' } };
    if (works(() => write(event))) sound.push(event);
    else if (event.request_body !== undefined && works(() => JSON.stringify(bare))) {
      sound.push(bare);
      bodiesOmitted += 1;
    } else broken.push(event);
  }
  return { sound, broken, bodiesOmitted };
}

function withoutLargeBody(event: UsageEvent): UsageEvent {
  if (event.request_body === undefined) return event;
  const bytes = Buffer.byteLength(JSON.stringify(event.request_body));
  return { ...event, request_body: { omitted: 'too large', bytes } };
}

function works(write: () => unknown): boolean {
  try {
    write();
    return true;
  } catch {
    return false;
  }
}
