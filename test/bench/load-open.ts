import { Connection } from './client.ts';
import { streamedAnswer, wholeAnswer } from './exchanges.ts';
import { modelName } from './mock-answers.ts';
import type { LoadPhase, LoadReport, OpenLoop } from './plan.ts';
import { chatRequest } from './requests.ts';
import { Tally } from './tally.ts';

const streamChunks = 3;
/** More requests than this under way: the destination cannot hold the rate, and the rest waits (its clock runs). */
const connectionsMax = 1024;

/** Sends at a constant rate; a late answer delays nothing but itself, so no wait is omitted from the latencies. */
export async function runOpenLoop(plan: OpenLoop, phase: (phase: LoadPhase) => void): Promise<LoadReport> {
  const load = new ConstantRate(plan);
  await load.runFor(plan.warmUpMs);
  load.tally.open();
  phase('begun');
  await load.runFor(plan.durationMs);
  const report = load.tally.close();
  load.stop();
  return report;
}

class ConstantRate {
  readonly tally: Tally;
  readonly #plan: OpenLoop;
  readonly #whole: Buffer;
  readonly #stream: Buffer;
  readonly #all: Connection[] = [];
  readonly #idle: Connection[] = [];
  /** Due times of requests that found no connection. */
  readonly #waiting: { readonly dueMs: number; readonly ordinal: number }[] = [];
  #sent = 0;

  constructor(plan: OpenLoop) {
    this.#plan = plan;
    this.tally = new Tally(plan.watch);
    this.#whole = chatRequest(plan.to, modelName(100, 10), false);
    this.#stream = chatRequest(plan.to, modelName(streamChunks, 10), true);
  }

  async runFor(durationMs: number): Promise<void> {
    const startMs = performance.now();
    const intervalMs = 1000 / this.#plan.ratePerSecond;
    let dueMs = startMs;
    return new Promise((resolve) => {
      const tick = (): void => {
        const now = performance.now();
        for (; dueMs <= now; dueMs += intervalMs) this.#due(dueMs);
        if (now - startMs < durationMs) setTimeout(tick, 1);
        else resolve();
      };
      tick();
    });
  }

  stop(): void {
    this.#waiting.length = 0;
    for (const connection of this.#all) connection.close();
  }

  #due(dueMs: number): void {
    this.#sent += 1;
    const connection = this.#idle.pop() ?? this.#newConnection();
    if (connection === undefined) this.#waiting.push({ dueMs, ordinal: this.#sent });
    else this.#send(connection, dueMs, this.#sent);
  }

  #newConnection(): Connection | undefined {
    if (this.#all.length >= connectionsMax) return undefined;
    const connection = new Connection(this.#plan.to.port);
    this.#all.push(connection);
    return connection;
  }

  #send(connection: Connection, dueMs: number, ordinal: number): void {
    if (this.tally.isOpen) this.tally.lag.add(performance.now() - dueMs);
    const over = (): void => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#idle.push(connection);
      else this.#send(connection, next.dueMs, next.ordinal);
    };
    if (ordinal % this.#plan.streamEvery !== 0)
      connection.send(this.#whole, wholeAnswer(this.tally, dueMs, over));
    else
      connection.send(
        this.#stream,
        streamedAnswer(this.tally, { startMs: dueMs, chunks: streamChunks }, over),
      );
  }
}
