/**
 * Being told to stop. Listen from the first moment on: a parent that has gone does not say so twice.
 * A wish can reach a process twice, through its process group and through its parent; what comes within a second of the
 * first is the same wish. A signal after that is somebody who does not want to wait.
 */
import { constants } from 'node:os';

type StopSignal = 'SIGTERM' | 'SIGINT' | 'SIGHUP';

export interface StopListener {
  /** At the first signal, or at the end of the parent that started us; once. */
  first(why: string): void;
  /** At each later signal, unless it is the same wish. `exitCode` is what a shell would say of a process it ended. */
  again(exitCode: number): void;
  /** Default: SIGTERM and SIGINT. */
  readonly signals?: readonly StopSignal[];
}

const sameWishMs = 1_000;

export function listenForStop({ first, again, signals = ['SIGTERM', 'SIGINT'] }: StopListener): void {
  let toldMs: number | undefined;
  const tell = (why: string): boolean => {
    if (toldMs !== undefined) return false;
    toldMs = performance.now();
    first(why);
    return true;
  };
  for (const signal of signals) {
    process.on(signal, () => {
      const isNew = tell(signal);
      if (isNew || performance.now() - (toldMs ?? 0) < sameWishMs) return;
      again(128 + constants.signals[signal]);
    });
  }
  process.once('disconnect', () => void tell('disconnect'));
}

/**
 * Resolves when told to stop. From then on the end is certain: at a second signal, or after `deadlineMs`, the process
 * ends whatever still hangs.
 * @param deadlineMs longer than the app's own closing should take
 */
export function untilToldToStop(deadlineMs: number): Promise<void> {
  return new Promise((resolve) => {
    listenForStop({
      first: () => {
        setTimeout(() => endLate(deadlineMs), deadlineMs).unref();
        resolve();
      },
      again: (exitCode) => process.exit(exitCode),
    });
  });
}

function endLate(deadlineMs: number): never {
  process.stderr.write(`told to stop ${deadlineMs / 1000} s ago and still not closed: ending anyway\n`);
  return process.exit(1);
}
