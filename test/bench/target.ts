import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Destination } from './plan.ts';

/** One thing in front of the mock backend, or the backend itself. */
export interface Target {
  /** Short and unique; the name in tables. */
  readonly name: string;
  /** How it is set up, for the reader of the report. */
  readonly setup: string;
  readonly to: Destination;
  /** Its processes now; their CPU time is the cost of the target. None for the backend itself. */
  pids(): readonly number[];
  /** Other processes that work for it, measured apart. */
  companions(): Readonly<Record<string, readonly number[]>>;
}

/** A target that could not be started, and why. */
export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

/** A port nobody listens on at this moment, for servers that cannot tell which one they got. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const answerWaitMs = 15_000;

/** Waits until the destination answers a chat request. @throws Error when it does not within 15 s */
export async function untilAnswering(to: Destination): Promise<void> {
  const deadline = performance.now() + answerWaitMs;
  for (;;) {
    const problem = await askOnce(to);
    if (problem === undefined) return;
    if (performance.now() > deadline) throw new Error(`no answer from 127.0.0.1:${to.port}: ${problem}`);
    await pause(100);
  }
}

async function askOnce(to: Destination): Promise<string | undefined> {
  try {
    const answer = await fetch(`http://127.0.0.1:${to.port}/v1/chat/completions`, {
      method: 'POST',
      headers: { ...to.headers, 'content-type': 'application/json' },
      body: '{"model":"bench","messages":[{"role":"user","content":"hello"}]}',
      signal: AbortSignal.timeout(5_000),
    });
    const text = await answer.text();
    return answer.status === 200 ? undefined : `status ${answer.status}: ${text.slice(0, 200)}`;
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    return cause instanceof Error ? cause.message : String(error);
  }
}
