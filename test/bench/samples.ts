/** Quantiles of a set of measurements, in the unit of the measurements. */
export interface Quantiles {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Every measurement kept, so that quantiles are exact; 8 bytes each. */
export class Samples {
  #values = new Float64Array(65_536);
  #count = 0;

  add(value: number): void {
    if (this.#count === this.#values.length) {
      const wider = new Float64Array(this.#count * 2);
      wider.set(this.#values);
      this.#values = wider;
    }
    this.#values[this.#count] = value;
    this.#count += 1;
  }

  /** All zero when nothing was added. */
  quantiles(): Quantiles {
    const sorted = this.#values.slice(0, this.#count).sort();
    const at = (share: number): number =>
      sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
    const sum = sorted.reduce((total, value) => total + value, 0);
    return {
      count: sorted.length,
      mean: sorted.length === 0 ? 0 : sum / sorted.length,
      p50: at(0.5),
      p99: at(0.99),
      max: at(1),
    };
  }
}

/** Middle value; mean of the middle two for an even count; NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const high = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const low = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  return (low + high) / 2;
}
