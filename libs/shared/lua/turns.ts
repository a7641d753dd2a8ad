/**
 * Who may run in which turn of the event loop. A hook that ends within its first slice never waits. All others share one slice per
 * turn, first come first served, and new hooks wait as well once a turn has spent its slice: so many runaway hooks at once cost other
 * requests no more than one does.
 */

/** Something that runs in slices. */
export interface Sliced {
  /** Runs at most about `units` of work. Returns whether it has ended, and never throws. */
  slice(units: number): boolean;
  /** Work done so far. */
  readonly units: number;
}

export class Turns {
  readonly #sliceUnits: number;
  readonly #waiting: Sliced[] = [];
  #spent = 0;
  #scheduled = false;

  constructor(sliceUnits: number) {
    this.#sliceUnits = sliceUnits;
  }

  /** Runs the first slice now if this turn has any left. Returns whether `job` has ended; if not, it goes on in later turns. */
  start(job: Sliced): boolean {
    const left = this.#sliceUnits - this.#spent;
    if (left > 0 && this.#run(job, left)) return true;
    this.#waiting.push(job);
    this.#schedule();
    return false;
  }

  #run(job: Sliced, units: number): boolean {
    const before = job.units;
    const ended = job.slice(units);
    // Started from a quarter on, a turn is told from the next one; below, small hooks need no timer of their own.
    this.#spent += ended ? job.units - before : this.#sliceUnits;
    if (this.#spent > this.#sliceUnits / 4) this.#schedule();
    return ended;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#nextTurn());
  }

  #nextTurn(): void {
    this.#scheduled = false;
    this.#spent = 0;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    if (!this.#run(job, this.#sliceUnits)) this.#waiting.push(job);
    if (this.#waiting.length > 0) this.#schedule();
  }
}
