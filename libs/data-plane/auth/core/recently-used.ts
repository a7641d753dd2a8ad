/** A map of bounded size: when it is full, the entry that was unused for longest makes room. */
export class RecentlyUsed<Value> {
  readonly #entries = new Map<string, Value>();
  readonly #entriesMax: number;

  /** @param entriesMax at least 1 */
  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Value | undefined {
    const value = this.#entries.get(key);
    if (value !== undefined) {
      // A Map remembers the order of insertion: what was used goes to the end.
      this.#entries.delete(key);
      this.#entries.set(key, value);
    }
    return value;
  }

  set(key: string, value: Value): void {
    this.#entries.delete(key);
    const [unusedForLongest] = this.#entries.size >= this.#entriesMax ? this.#entries.keys() : [];
    if (unusedForLongest !== undefined) this.#entries.delete(unusedForLongest);
    this.#entries.set(key, value);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }
}
