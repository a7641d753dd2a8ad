/** How much is measured; all bounded, in count and in time. */
export interface Settings {
  readonly rounds: number;
  /** Unmeasured load on each target before the first round. */
  readonly compileMs: number;
  readonly warmUpMs: number;
  readonly closedMs: number;
  readonly connections: number;
  readonly streams: number;
  readonly chunksPerStream: number;
  readonly paceMs: number;
  readonly streamsMs: number;
  readonly halfLoadRounds: number;
  readonly halfLoadMs: number;
  readonly streamEvery: number;
}

const full: Settings = {
  rounds: 3,
  compileMs: 4_000,
  warmUpMs: 1_000,
  closedMs: 4_000,
  connections: 64,
  streams: 200,
  chunksPerStream: 100,
  paceMs: 10,
  streamsMs: 3_000,
  halfLoadRounds: 5,
  halfLoadMs: 4_000,
  streamEvery: 10,
};

const quick: Settings = {
  ...full,
  rounds: 1,
  compileMs: 3_000,
  closedMs: 2_000,
  streamsMs: 1_000,
  halfLoadRounds: 1,
  halfLoadMs: 2_000,
};

/** @throws Error on an argument it does not know */
export function settingsFrom(args: readonly string[]): Settings {
  const unknown = args.find((arg) => arg !== '--quick');
  if (unknown !== undefined) throw new Error(`unknown argument ${unknown}; the only one is --quick`);
  return args.includes('--quick') ? quick : full;
}
