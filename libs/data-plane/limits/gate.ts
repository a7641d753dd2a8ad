/** Keeps the circuit around Redis: trips it, probes beside the requests, and closes it when a probe is answered. */
import type { Clock } from '@llmproxy/time';
import { afterCall, afterProbe, beforeProbe, closedCircuit, type Circuit } from './core/circuit.ts';

export interface GateOptions {
  readonly clock: Clock;
  /** Resolves when Redis has answered; rejects when it has not in time. */
  readonly probe: () => Promise<void>;
  readonly onChange: (isOpen: boolean) => void;
}

const rules = { failuresMax: 3, openMs: 1000 };

export class Gate {
  readonly #options: GateOptions;
  #circuit: Circuit = closedCircuit;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** Whether Redis is to be asked. */
  mayCall(): boolean {
    return this.#circuit.state === 'closed';
  }

  tell(ok: boolean): void {
    this.#move(afterCall(this.#circuit, ok, this.#options.clock.monotonic(), rules));
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  #move(next: Circuit): void {
    const before = this.#circuit.state;
    this.#circuit = next;
    if (next.state === before) return;
    if (next.state === 'open') this.#probeLater();
    if (before === 'closed') this.#options.onChange(true);
    else if (next.state === 'closed') this.#options.onChange(false);
  }

  #probeLater(): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => void this.#probe(), rules.openMs).unref();
  }

  async #probe(): Promise<void> {
    const { clock, probe } = this.#options;
    this.#move(beforeProbe(this.#circuit, clock.monotonic()));
    // Timers may fire a little early.
    if (this.#circuit.state === 'open') return this.#probeLater();
    const ok = await probe().then(
      () => true,
      () => false,
    );
    if (!this.#isClosed) this.#move(afterProbe(this.#circuit, ok, clock.monotonic(), rules));
  }
}
