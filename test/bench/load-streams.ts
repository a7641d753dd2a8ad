import { Connection } from './client.ts';
import { streamedAnswer } from './exchanges.ts';
import type { LoadPhase, LoadReport, Streams } from './plan.ts';
import { chatRequest } from './requests.ts';
import { Tally } from './tally.ts';

/** Opens the streams at the ramp's rate and reads each to its end. */
export async function runStreams(plan: Streams, phase: (phase: LoadPhase) => void): Promise<LoadReport> {
  const tally = new Tally(plan.watch);
  const request = chatRequest(plan.to, plan.model, true);
  const connections = Array.from({ length: plan.streams }, (_, index) => {
    const source = plan.sourceAddresses > 1 ? `127.0.0.${1 + (index % plan.sourceAddresses)}` : undefined;
    return new Connection(plan.to.port, source);
  });
  let begun = 0;
  let open = plan.streams;
  tally.open();
  phase('begun');
  const startMs = performance.now();
  const first = (): void => {
    begun += 1;
    if (begun === plan.streams) phase('all-open');
  };
  const ended = new Promise<void>((resolve) => {
    const run = (connection: Connection): void => {
      const watch = { startMs: performance.now(), chunks: plan.chunks, first };
      const exchange = streamedAnswer(tally, watch, (ok) => {
        if (ok && performance.now() - startMs < plan.repeatForMs) return run(connection);
        open -= 1;
        if (open === 0) resolve();
      });
      connection.send(request, exchange);
    };
    ramp(connections, plan.rampPerSecond, run);
  });
  await Promise.race([ended, deadline(plan.deadlineMs)]);
  for (let late = 0; late < open; late += 1) tally.error('stream still open at the deadline');
  const report = tally.close();
  for (const connection of connections) connection.close();
  return report;
}

function ramp(
  connections: readonly Connection[],
  perSecond: number,
  run: (connection: Connection) => void,
): void {
  const startMs = performance.now();
  let started = 0;
  const tick = (): void => {
    const due = Math.ceil(((performance.now() - startMs + 1) / 1000) * perSecond);
    for (const connection of connections.slice(started, due)) run(connection);
    started = Math.max(started, due);
    if (started < connections.length) setTimeout(tick, 5);
  };
  tick();
}

async function deadline(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
