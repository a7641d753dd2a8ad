/**
 * The work of one turn of the event loop, done stage by stage instead of request by request: all that was read is used,
 * then all that is to be sent is written, then all that ended is written down. The code and data of a stage stay in the
 * processor's caches while it runs, and a peer is woken once for several messages instead of once for each: a request
 * costs a third less CPU (docs/adr/0010).
 *
 * Guarantees: a task runs in the turn it was handed over in, or, when more than `readsMax` connections were ready, one
 * of the next; tasks of a stage run in the order they came; what promises resolve to while reading has run before
 * anything is written; a task that throws is an uncaught exception and stops no other.
 */
import type { Writable } from 'node:stream';

/** In the order in which they run. */
export type Stage = 'read' | 'write' | 'record';

type Task = () => void;

// So many ready connections are worked on before the first of them gets its answer: beyond that nothing is gained.
const readsMax = 64;

const waiting: Readonly<Record<Stage, Task[]>> = { read: [], write: [], record: [] };
let isScheduled = false;

/** Hands a task over to a stage of this turn. */
export function inTurn(stage: Stage, task: Task): void {
  waiting[stage].push(task);
  schedule();
}

/** Gathers what is written to `stream` from now on, and hands it over to its destination in this turn's write stage. */
export function corkForTurn(stream: Writable): void {
  if (stream.writableCorked > 0) return;
  stream.cork();
  inTurn('write', () => stream.uncork());
}

/** Resolves when everything handed over so far has been done. */
export function turnEnded(): Promise<void> {
  return new Promise((resolve) => inTurn('record', resolve));
}

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  // Two immediates, not one: between them run the promise reactions of what was read.
  setImmediate(readAll);
  setImmediate(endTurn);
}

function readAll(): void {
  run(waiting.read, readsMax);
}

function endTurn(): void {
  run(waiting.write);
  run(waiting.record);
  isScheduled = false;
  if (waiting.read.length + waiting.write.length + waiting.record.length > 0) schedule();
}

/** Tasks that come while it runs are run too, unless that makes more than `max`. */
function run(tasks: Task[], max = Infinity): void {
  let done = 0;
  while (done < tasks.length && done < max) attempt(tasks[done++] as Task);
  if (done === tasks.length) tasks.length = 0;
  else tasks.splice(0, done);
}

function attempt(task: Task): void {
  try {
    task();
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}
