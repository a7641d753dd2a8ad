/** How much room events take as JSON, which is what travels and what is stored. */
import type { UsageEvent } from './usage-event.ts';

/** Names, numbers and punctuation of an event, and the fields whose text is not a client's, with room to spare. */
const fixedBytes = 1_024;
/** A UTF-16 unit as JSON: `\u0000` at the worst. */
const unitBytesMax = 6;
/** Up to here a generous estimate does no harm; it spares writing the JSON twice. */
const estimateBytesMax = 16 * 1_024;

const measured = new WeakMap<UsageEvent, number>();

/**
 * At least as many bytes as the event takes as JSON. Exact when it is large or has a body.
 * @throws what JSON.stringify throws
 */
export function eventBytes(event: UsageEvent): number {
  const estimate = fixedBytes + unitBytesMax * clientUnits(event);
  if (event.request_body === undefined && estimate <= estimateBytesMax) return estimate;
  const known = measured.get(event);
  if (known !== undefined) return known;
  const bytes = Buffer.byteLength(JSON.stringify(event));
  measured.set(event, bytes);
  return bytes;
}

/** Length of the texts that somebody outside chose. */
function clientUnits(event: UsageEvent): number {
  const texts = [event.model, event.path, event.user_id, event.request_id, event.backend_url, event.backend];
  return texts.reduce((sum, text) => sum + (text?.length ?? 0), 0);
}

/** For cutting only: what cannot be measured is sorted out when it is sent. */
export function bytesIfKnown(event: UsageEvent): number {
  try {
    return eventBytes(event);
  } catch {
    return 0;
  }
}
