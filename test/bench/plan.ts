/** What the load generator is asked to do, and what it reports: plain data, sent over the IPC channel. */
import type { Quantiles } from './samples.ts';

/** Where the load goes. */
export interface Destination {
  readonly port: number;
  /** Sent besides the usual ones. */
  readonly headers: Readonly<Record<string, string>>;
}

interface Common {
  readonly to: Destination;
  /** Processes whose CPU time is read at both ends of the measured window, by a name of the caller's choice. */
  readonly watch: Readonly<Record<string, readonly number[]>>;
}

/** Every connection sends its next request when it has its answer: the highest rate the destination can take. */
export interface ClosedLoop extends Common {
  readonly mode: 'closed';
  readonly connections: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
}

/** Requests leave at a constant rate whatever the answers do; latency counts from the time each was due. */
export interface OpenLoop extends Common {
  readonly mode: 'open';
  readonly ratePerSecond: number;
  /** One request in this many is a stream of 3 chunks at 10 ms. */
  readonly streamEvery: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
}

/** Streams side by side. */
export interface Streams extends Common {
  readonly mode: 'streams';
  readonly streams: number;
  readonly model: string;
  /** Chunks with content that each stream must have. */
  readonly chunks: number;
  /** Streams opened per second. */
  readonly rampPerSecond: number;
  /** A connection whose stream ended earlier than this after the start opens another; 0: one stream each. */
  readonly repeatForMs: number;
  /** Everything still open then counts as an error. */
  readonly deadlineMs: number;
  /** Loopback addresses 127.0.0.1 … 127.0.0.n used in turn as source, so that ports do not run out. */
  readonly sourceAddresses: number;
}

/** Streams read at a fixed rate by clients that are slower than the backend. */
export interface SlowReaders extends Common {
  readonly mode: 'slow';
  readonly readers: number;
  readonly model: string;
  readonly bytesPerSecond: number;
  readonly durationMs: number;
}

export type LoadPlan = ClosedLoop | OpenLoop | Streams | SlowReaders;

/** The outcome of one plan. Times in milliseconds, CPU in microseconds. */
export interface LoadReport {
  /** Answers (streams) completed inside the measured window, each verified. */
  readonly completed: number;
  readonly chunks: number;
  readonly errors: number;
  /** A few of the reasons, for the person who reads the report. */
  readonly errorReasons: readonly string[];
  readonly windowMs: number;
  readonly perSecond: number;
  /** Length of the body of an answer that is not a stream; 0 when there was none. */
  readonly bodyBytes: number;
  /** First byte to last byte of whole answers that are not streams. */
  readonly latency: Quantiles;
  /** Until the first body byte of a stream. */
  readonly ttft: Quantiles;
  /** From the making of a chunk in the backend until it was read. */
  readonly chunkDelay: Quantiles;
  /** How late the generator itself was in sending; part of the open-loop latencies. */
  readonly lag: Quantiles;
  readonly cpuMicros: Readonly<Record<string, number>>;
  readonly generatorCpuMicros: number;
}

/** `begun`: the measured window opens · `all-open`: every stream has had its first byte. */
export type LoadPhase = 'begun' | 'all-open';

export type LoadMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'phase'; readonly phase: LoadPhase }
  | { readonly kind: 'report'; readonly report: LoadReport }
  | { readonly kind: 'failed'; readonly message: string };
