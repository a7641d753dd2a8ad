import { Connection } from './client.ts';
import { wholeAnswer } from './exchanges.ts';
import { modelName } from './mock-answers.ts';
import type { ClosedLoop, LoadPhase, LoadReport } from './plan.ts';
import { chatRequest } from './requests.ts';
import { Tally } from './tally.ts';

/** Pause before a connection tries again after a failure: a dead destination must not be hammered. */
const afterFailureMs = 50;

/** Keeps every connection busy with one request after the other. */
export async function runClosedLoop(
  plan: ClosedLoop,
  phase: (phase: LoadPhase) => void,
): Promise<LoadReport> {
  const tally = new Tally(plan.watch);
  const request = chatRequest(plan.to, modelName(100, 10), false);
  const connections = Array.from({ length: plan.connections }, () => new Connection(plan.to.port));
  let running = true;
  const next = (connection: Connection): void => {
    if (!running) return;
    const exchange = wholeAnswer(tally, performance.now(), (ok) => {
      if (ok) next(connection);
      else setTimeout(next, afterFailureMs, connection);
    });
    connection.send(request, exchange);
  };
  for (const connection of connections) next(connection);
  return new Promise((resolve) => {
    setTimeout(() => {
      tally.open();
      phase('begun');
      setTimeout(() => {
        const report = tally.close();
        running = false;
        for (const connection of connections) connection.close();
        resolve(report);
      }, plan.durationMs);
    }, plan.warmUpMs);
  });
}
