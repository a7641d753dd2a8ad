import type { Children } from '../bench/children.ts';

/** What a scenario may use; all of it is gone when it ends. */
export interface Place {
  readonly children: Children;
  /** An empty folder. */
  readonly folder: string;
  readonly repoRoot: string;
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
  run(place: Place): Promise<readonly Check[]>;
}
