import { expect, test } from 'vitest';
import { afterEvent, noCrew, type Crew, type CrewEvent } from './crew.ts';

const forked = (id: number): CrewEvent => ({ kind: 'forked', id });
const exited = (id: number): CrewEvent => ({ kind: 'exited', id });
const toldToStop: CrewEvent = { kind: 'told-to-stop' };

const after = (...events: CrewEvent[]): Crew => events.reduce(afterEvent, noCrew);

test.each<[string, CrewEvent[], Crew['state'], number[]]>([
  ['before its first worker', [], 'serving', []],
  ['told to stop before its first worker', [toldToStop], 'ended', []],
  ['with workers', [forked(1), forked(2)], 'serving', [1, 2]],
  ['that has lost all of them', [forked(1), exited(1)], 'serving', []],
  ['told to stop between a loss and its replacement', [forked(1), exited(1), toldToStop], 'ended', []],
  ['told to stop', [forked(1), forked(2), toldToStop], 'stopping', [1, 2]],
  ['one of whose workers is done', [forked(1), forked(2), toldToStop, exited(1)], 'stopping', [2]],
  ['all of whose workers are done', [forked(1), forked(2), toldToStop, exited(2), exited(1)], 'ended', []],
  [
    'whose worker died before the stop, the other after',
    [forked(1), forked(2), exited(1), toldToStop, exited(2)],
    'ended',
    [],
  ],
  ['told to stop twice', [forked(1), toldToStop, toldToStop], 'stopping', [1]],
  ['with a replacement', [forked(1), exited(1), forked(2), toldToStop], 'stopping', [2]],
  ['whose fork and stop crossed', [forked(1), toldToStop, forked(2), exited(1)], 'stopping', [2]],
  ['that hears of an exit twice', [forked(1), forked(2), toldToStop, exited(1), exited(1)], 'stopping', [2]],
])('a gateway %s', (_, events, state, running) => {
  const crew = after(...events);
  expect([crew.state, [...crew.running]]).toEqual([state, running]);
});
