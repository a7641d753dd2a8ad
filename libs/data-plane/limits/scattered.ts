/**
 * Admission on a Redis Cluster, where each hash tag is a call of its own: all scopes at once with the best backend, then,
 * only while backends are what refuses, the next one. What was granted in vain is undone, so a refused request consumes
 * nothing in the end.
 */
import type { Admitted, LimitScope } from '@llmproxy/limit-state';
import type { Batches } from './batches.ts';
import type { AdmitCall, Answer } from './gathering.ts';
import type { Gathered } from './told.ts';

/** Undefined: Redis did not answer for one of the tags. */
type Part = Answer | undefined;

type Ask = (scope: LimitScope) => Promise<Part>;

/** Undefined: Redis did not answer for one of the tags. */
export async function admitScattered(batches: Batches, call: AdmitCall): Promise<Gathered | undefined> {
  const ask: Ask = (scope) =>
    new Promise((resolve) => batches.admit({ ...call, scopes: [scope], alternatives: [] }, resolve));
  const [best, ...others] = call.alternatives;
  const asked = await Promise.all((best === undefined ? call.scopes : [...call.scopes, best]).map(ask));
  const base = asked.slice(0, call.scopes.length);
  const parts = best === undefined ? base : [...base, await withRoom(ask, others, asked)];
  if (parts.every(isGranted)) {
    return { answers: parts, refused: undefined, alternative: alternativeOf(call, parts.at(-1)) };
  }
  for (const { reply, scopes } of parts.filter(isGranted)) {
    if (reply.lease.holds.length > 0) batches.tell({ op: 'undo', held: { scopes, lease: reply.lease } });
  }
  if (!parts.every((part) => part !== undefined)) return undefined;
  const ofBase = base.reduce<Part>((worst, part) => (isLater(part, worst) ? part : worst), undefined);
  return { answers: parts, refused: ofBase ?? parts.at(-1), alternative: -1 };
}

/** The answer of the first backend that has room; of those that have none, the one that will have it soonest. */
async function withRoom(ask: Ask, others: readonly LimitScope[], asked: readonly Part[]): Promise<Part> {
  let soonest = asked.at(-1);
  if (isGranted(soonest) || soonest === undefined || !asked.slice(0, -1).every(isGranted)) return soonest;
  for (const scope of others) {
    const part = await ask(scope);
    if (part === undefined || isGranted(part)) return part;
    if (isLater(soonest, part)) soonest = part;
  }
  return soonest;
}

const isGranted = (part: Part): part is Answer & { reply: Admitted } => part?.reply.granted === true;

const alternativeOf = ({ alternatives }: AdmitCall, last: Part): number =>
  alternatives.findIndex(({ tag }) => tag === last?.scopes[0]?.tag);

const waitOf = (part: Part): number => {
  if (part === undefined || part.reply.granted) return 0;
  return part.reply.retryAfterMs < 0 ? Infinity : part.reply.retryAfterMs;
};

const isLater = (part: Part, than: Part): boolean => waitOf(part) > waitOf(than);
