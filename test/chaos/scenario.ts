import type { MockBackend } from '../bench/backend.ts';
import type { GatewayVariant } from '../bench/gateway.ts';
import type { LoadGenerator } from '../bench/load-generator.ts';
import type { Target } from '../bench/target.ts';

/** A fresh gateway with everything on, two workers, its backend and a load generator: one set per scenario. */
export interface Stand {
  readonly gateway: Target;
  readonly backend: MockBackend;
  readonly generator: LoadGenerator;
  readonly say: (line: string) => void;
}

/** One thing a scenario requires. */
export interface Check {
  readonly text: string;
  readonly ok: boolean;
  readonly found: string;
}

export interface Scenario {
  readonly name: string;
  /** What it shows, in one line. */
  readonly shows: string;
  /** Of the gateway; left out: the usual one. */
  readonly variant?: GatewayVariant;
  run(stand: Stand): Promise<readonly Check[]>;
}
