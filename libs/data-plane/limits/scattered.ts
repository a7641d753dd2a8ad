/**
 * Admission on a Redis Cluster, where each hash tag is a call of its own: all scopes at once with the best backend, then,
 * only while backends are what refuses, the next one. What was granted in vain is undone, so a refused request consumes
 * nothing in the end.
 */
import type { Admitted, LimitScope, Refused } from '@llmproxy/limit-state';
import type { Batches } from './batches.ts';
import type { AdmitCall, Answer, Late } from './gathering.ts';
import type { Gathered } from './told.ts';
import type { Unanswered } from './without-redis.ts';

/** What Redis said of one tag. */
type Part = Answer | Missing;

/** Redis did not answer in time. */
interface Missing {
  readonly reply?: undefined;
  readonly tag: string;
  readonly late: Late;
}

type Ask = (scope: LimitScope) => Promise<Part>;

export type Scattered = { readonly gathered: Gathered } | { readonly unanswered: Unanswered };

export async function admitScattered(batches: Batches, call: AdmitCall): Promise<Scattered> {
  const ask: Ask = (scope) =>
    new Promise((resolve) =>
      batches.admit({ ...call, scopes: [scope], alternatives: [] }, (answer, late) =>
        resolve(answer ?? { tag: scope.tag, late }),
      ),
    );
  const [best, ...others] = call.alternatives;
  const asked = await Promise.all((best === undefined ? call.scopes : [...call.scopes, best]).map(ask));
  const base = asked.slice(0, call.scopes.length);
  const parts = best === undefined ? base : [...base, await withRoom(ask, others, asked)];
  const alternative = best === undefined ? -1 : alternativeOf(call, parts.at(-1));
  if (parts.every(isGranted)) return { gathered: { answers: parts, refused: undefined, alternative } };
  const refused = parts.filter(isRefused);
  if (refused.length === 0) return { unanswered: { ...unansweredOf(call, parts), alternative } };
  for (const part of parts.filter(isGranted)) batches.undo(part);
  for (const { late } of parts.filter(isMissing)) batches.undoLate(late);
  const ofBase = refused.filter((part) => base.includes(part));
  const latest = (ofBase.length > 0 ? ofBase : refused).reduce((worst, part) =>
    isLater(part, worst) ? part : worst,
  );
  return { gathered: { answers: parts.filter(isAnswered), refused: latest, alternative: -1 } };
}

/** None refused: what was granted is kept, and what Redis did not answer is decided without it. */
function unansweredOf(call: AdmitCall, parts: readonly Part[]): Omit<Unanswered, 'alternative'> {
  const missing = parts.filter(isMissing);
  const isOpen = ({ tag }: LimitScope): boolean => missing.some((part) => part.tag === tag);
  return {
    call: {
      ...call,
      scopes: call.scopes.filter(isOpen),
      alternatives: call.alternatives.some(isOpen) ? call.alternatives : [],
    },
    kept: parts.filter(isGranted),
    lost: missing.map(({ tag, late }) => ({ tags: [tag], late })),
  };
}

/** The answer of the first backend that has room; of those that have none, the one that will have it soonest. */
async function withRoom(ask: Ask, others: readonly LimitScope[], asked: readonly Part[]): Promise<Part> {
  let soonest = asked.at(-1) as Part;
  if (!isRefused(soonest) || !asked.slice(0, -1).every(isGranted)) return soonest;
  for (const scope of others) {
    const part = await ask(scope);
    if (!isRefused(part)) return part;
    if (isLater(soonest, part)) soonest = part;
  }
  return soonest;
}

type Refusing = Answer & { reply: Refused };

const isMissing = (part: Part): part is Missing => part.reply === undefined;
const isAnswered = (part: Part): part is Answer => part.reply !== undefined;
const isGranted = (part: Part | undefined): part is Answer & { reply: Admitted } =>
  part?.reply?.granted === true;
const isRefused = (part: Part): part is Refusing => part.reply?.granted === false;

const alternativeOf = ({ alternatives }: AdmitCall, last: Part | undefined): number =>
  isGranted(last) ? alternatives.findIndex(({ tag }) => tag === last.scopes[0]?.tag) : -1;

const waitOf = (part: Part): number => {
  if (!isRefused(part)) return 0;
  return part.reply.retryAfterMs < 0 ? Infinity : part.reply.retryAfterMs;
};

const isLater = (part: Part, than: Part): boolean => waitOf(part) > waitOf(than);
