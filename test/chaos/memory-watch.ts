import { residentBytes } from '../bench/proc.ts';
import type { Target } from '../bench/target.ts';

const everyMs = 500;

/** Follows the resident memory of a target's process tree until `stop`. */
export interface MemoryWatch {
  /** Most bytes seen since the start or the last `mark`. */
  readonly mostBytes: number;
  /** Forgets the peak seen so far. */
  mark(): void;
  stop(): void;
}

export function watchMemory(target: Target): MemoryWatch {
  let most = residentBytes(target.pids());
  const sample = (): void => {
    most = Math.max(most, residentBytes(target.pids()));
  };
  const timer = setInterval(sample, everyMs);
  return {
    get mostBytes() {
      sample();
      return most;
    },
    mark: () => {
      most = residentBytes(target.pids());
    },
    stop: () => clearInterval(timer),
  };
}
