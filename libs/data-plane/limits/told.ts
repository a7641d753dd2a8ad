/** What the answers of Redis, one or one for each hash tag, mean for a request. */
import type { Figure } from '@llmproxy/limit-state';
import { kindOf, type Granted, type Refused, type RefusedBy } from './core/admission.ts';
import type { AdmitCall, Answer } from './gathering.ts';

export interface Gathered {
  readonly answers: readonly Answer[];
  /** The answer that refuses, and decides how long the request has to wait. */
  readonly refused: Answer | undefined;
  /** Index into the request's alternatives; -1: it had none. */
  readonly alternative: number;
}

export type Told = Omit<Granted<never>, 'by' | 'handle'> | Refused;

export function fromOne({ alternatives }: AdmitCall, answer: Answer): Gathered {
  const { reply, scopes } = answer;
  if (!reply.granted) return { answers: [answer], refused: answer, alternative: -1 };
  const tag = scopes[reply.alternative]?.tag;
  const alternative = tag === undefined ? -1 : alternatives.findIndex((one) => one.tag === tag);
  return { answers: [answer], refused: undefined, alternative };
}

export function toldOf({ answers, refused, alternative }: Gathered): Told {
  const told = {
    requests: tightest(answers, 'requests'),
    tokens: tightest(answers, 'tokens'),
    shadowRefusals: answers.flatMap(shadowRefusals),
  };
  if (refused === undefined || refused.reply.granted) return { outcome: 'granted', alternative, ...told };
  const { scope, limit, retryAfterMs } = refused.reply;
  return { outcome: 'refused', ...refusedBy(refused, { scope, limit }), retryAfterMs, ...told };
}

const refusedBy = (
  { scopes }: Answer,
  { scope, limit }: Pick<RefusedBy, 'limit'> & { scope: number },
): RefusedBy => ({
  kind: kindOf(scopes[scope]?.tag ?? ''),
  limit,
});

const shadowRefusals = (answer: Answer): RefusedBy[] =>
  answer.reply.shadowRefusals.map((refusal) => refusedBy(answer, refusal));

/** The tightest of the limits of all tags. */
function tightest(answers: readonly Answer[], what: 'requests' | 'tokens'): Figure | null {
  let found: Figure | null = null;
  for (const { reply } of answers) {
    const figure = reply[what];
    if (figure !== null && (found === null || figure.remaining < found.remaining)) found = figure;
  }
  return found;
}
