import { answerBodyBytes } from './mock-answers.ts';
import type { Summary } from './summary.ts';

/** One goal and whether the run reached it. */
export interface Goal {
  readonly text: string;
  readonly outcome: 'met' | 'missed' | 'not measured';
  readonly found: string;
}

const cpuVersusNginxMax = 6;
const cheaperThanPortkeyMin = 10;
// On the machine they were set on, nginx takes 15 µs for a request: elsewhere they grow with what nginx takes there.
const nginxMicrosOfGoals = 15;
const limitsMicrosMax = 40;
const limitsRedisMicrosMax = 30;
const addedTtftP50MsMax = 1;
const addedTtftP99MsMax = 5;

const goal = (text: string, value: number, met: boolean, found: string): Goal =>
  Number.isFinite(value)
    ? { text, outcome: met ? 'met' : 'missed', found }
    : { text, outcome: 'not measured', found: 'one side of it did not run' };

/** The goals of the project, checked against one run. */
export function goals(all: readonly Summary[]): Goal[] {
  const cost = (name: string): number => named(all, name)?.cpuPerRequest ?? Number.NaN;
  const half = named(all, 'llmproxy')?.half;
  const versusNginx = cost('llmproxy') / cost('nginx');
  const versusPortkey = cost('portkey') / cost('llmproxy');
  const addedP50 = half?.addedP50 ?? Number.NaN;
  const addedP99 = half?.addedP99 ?? Number.NaN;
  return [
    goal(
      `CPU per request at most ${cpuVersusNginxMax} × nginx`,
      versusNginx,
      versusNginx <= cpuVersusNginxMax,
      `${versusNginx.toFixed(2)} ×`,
    ),
    goal(
      `CPU per request at least ${cheaperThanPortkeyMin} × cheaper than Portkey`,
      versusPortkey,
      versusPortkey >= cheaperThanPortkeyMin,
      `${versusPortkey.toFixed(1)} ×`,
    ),
    goal(
      `added TTFT p50 below ${addedTtftP50MsMax} ms at half load`,
      addedP50,
      addedP50 < addedTtftP50MsMax,
      `${addedP50.toFixed(2)} ms`,
    ),
    goal(
      `added TTFT p99 below ${addedTtftP99MsMax} ms at half load`,
      addedP99,
      addedP99 < addedTtftP99MsMax,
      `${addedP99.toFixed(2)} ms`,
    ),
    ...limitGoals(all),
    everyAnswerRight(all),
  ];
}

/** What auth, admit and settle with all scopes on add to a request. */
function limitGoals(all: readonly Summary[]): Goal[] {
  const added = (pick: (summary: Summary) => number): number => {
    const [without, limited] = [named(all, 'llmproxy, no auth'), named(all, 'llmproxy, all limits')];
    return without && limited ? pick(limited) - pick(without) : Number.NaN;
  };
  const scale = (named(all, 'nginx')?.cpuPerRequest ?? Number.NaN) / nginxMicrosOfGoals;
  const judged = (text: string, microsMax: number, value: number): Goal =>
    goal(
      `${text} at most ${microsMax} µs of CPU where nginx takes ${nginxMicrosOfGoals}, so ${(microsMax * scale).toFixed(0)} here`,
      value * scale,
      value <= microsMax * scale,
      `${value.toFixed(1)} µs`,
    );
  return [
    judged(
      'auth and all limits add to a request',
      limitsMicrosMax,
      added((s) => s.cpuPerRequest),
    ),
    judged(
      'and in Redis',
      limitsRedisMicrosMax,
      added((s) => s.redisPerRequest),
    ),
  ];
}

const named = (all: readonly Summary[], name: string): Summary | undefined =>
  all.find(({ measured }) => measured.target.name === name);

/** A fast wrong answer is worth nothing: every one was checked for status, length, chunks and `[DONE]`. */
function everyAnswerRight(all: readonly Summary[]): Goal {
  const wrong = all.flatMap(({ measured, errors }) => {
    const bodyBytes = measured.closed[0]?.bodyBytes ?? answerBodyBytes;
    // Portkey writes the JSON anew; for it a constant length is all that can be asked.
    const changed = measured.target.name !== 'portkey' && bodyBytes !== answerBodyBytes;
    return errors > 0 || changed
      ? [`${measured.target.name}: ${errors} errors, bodies of ${bodyBytes} bytes`]
      : [];
  });
  return {
    text: 'every answer complete and of the right length',
    outcome: wrong.length === 0 ? 'met' : 'missed',
    found: wrong.length === 0 ? 'no errors' : wrong.join('; '),
  };
}
