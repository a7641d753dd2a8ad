/**
 * Who may run in which turn of the event loop. All hooks share one slice per turn: so many runaway hooks at once cost other requests no
 * more than one does. A hook that ends within its first slice never waits, unless its turn is spent; then it runs in the next one,
 * before those that have had a slice already, of which the one that waits longest takes what is left.
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
  /** New ones, and those that have had a slice. */
  readonly #fresh: Sliced[] = [];
  readonly #begun: Sliced[] = [];
  #spent = 0;
  #scheduled = false;

  constructor(sliceUnits: number) {
    this.#sliceUnits = sliceUnits;
  }

  /** Runs the first slice now if this turn has any left. Returns whether `job` has ended; if not, it goes on in later turns. */
  start(job: Sliced): boolean {
    const left = this.#sliceUnits - this.#spent;
    if (left <= 0) this.#fresh.push(job);
    else if (this.#run(job, left)) return true;
    else this.#begun.push(job);
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
    while (this.#spent < this.#sliceUnits) {
      const job = this.#fresh.shift() ?? this.#begun.shift();
      if (job === undefined) return;
      if (!this.#run(job, this.#sliceUnits - this.#spent)) this.#begun.push(job);
    }
    if (this.#fresh.length + this.#begun.length > 0) this.#schedule();
  }
}
