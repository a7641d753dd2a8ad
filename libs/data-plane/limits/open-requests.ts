/** Requests under way whose leases have to be renewed, the one that waits longest first. */

export interface Renewable {
  renewedMs: number;
}

const renewAfterMs = 10_000;
/** At once; more would make Redis, and with it every other request, wait. */
const renewedMax = 256;

export class OpenRequests<Request extends Renewable> {
  readonly #requests = new Set<Request>();

  add(request: Request, nowMs: number): void {
    request.renewedMs = nowMs;
    this.#requests.add(request);
  }

  remove(request: Request): void {
    this.#requests.delete(request);
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
      this.add(request, nowMs);
    }
    return due;
  }
}
