/** What a strategy may know of a backend. */
export interface Candidate {
  readonly weight: number;
  readonly available: boolean;
}

/**
 * A balancing strategy: state and candidates in, choice and next state out. `undefined` only when no candidate is
 * available. Candidates keep their order between calls.
 */
export type Strategy<State> = (
  state: State,
  candidates: readonly Candidate[],
) => { chosen: number | undefined; state: State };
