/** Requests under way that Redis holds leases of, the one whose renewal is due first. */
import type { Held } from './gathering.ts';

export interface Renewable {
  renewedMs: number;
  /** Does not change while it is here. */
  readonly held: readonly Held[];
}

const renewAfterMs = 10_000;
/** At once; more would make Redis, and with it every other request, wait. */
const renewedMax = 256;

export class OpenRequests<Request extends Renewable> {
  readonly #requests = new Set<Request>();
  /** Tag of a scope → how many hold a lease there. Counted only while somebody wants to know. */
  #byTag: Map<string, number> | undefined;

  add(request: Request, nowMs: number): void {
    request.renewedMs = nowMs;
    this.#requests.add(request);
    if (this.#byTag) count(this.#byTag, request, 1);
  }

  remove(request: Request): void {
    if (this.#requests.delete(request) && this.#byTag) count(this.#byTag, request, -1);
  }

  /** Those whose leases are due, some of them when there are many; they count as renewed. */
  takeDue(nowMs: number): Request[] {
    const due: Request[] = [];
    const max = Math.max(renewedMax, Math.ceil(this.#requests.size / 20));
    for (const request of this.#requests) {
      if (due.length >= max || nowMs - request.renewedMs < renewAfterMs) break;
      due.push(request);
    }
    for (const request of due) {
      this.#requests.delete(request);
      request.renewedMs = nowMs;
      this.#requests.add(request);
    }
    return due;
  }

  /** How many hold a lease in the scope. From the first call on it is kept up to date, until `countNoMore`. */
  in(tag: string): number {
    if (this.#byTag === undefined) {
      this.#byTag = new Map();
      for (const request of this.#requests) count(this.#byTag, request, 1);
    }
    return this.#byTag.get(tag) ?? 0;
  }

  countNoMore(): void {
    this.#byTag = undefined;
  }
}

function count(byTag: Map<string, number>, { held }: Renewable, by: number): void {
  for (const { scopes, lease } of held) {
    for (const { scope } of lease.holds) {
      const tag = scopes[scope]?.tag ?? '';
      byTag.set(tag, (byTag.get(tag) ?? 0) + by);
    }
  }
}
