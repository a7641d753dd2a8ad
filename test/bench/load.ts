/**
 * The load generator, a process of its own: `LoadPlan` in, `LoadReport` out, over the IPC channel. It stays alive
 * between plans so that its code is compiled once, and uses no CPU while it waits.
 */
import { runClosedLoop } from './load-closed.ts';
import { runOpenLoop } from './load-open.ts';
import { runSlowReaders } from './load-slow.ts';
import { runStreams } from './load-streams.ts';
import type { LoadMessage, LoadPhase, LoadPlan, LoadReport } from './plan.ts';

function tell(message: LoadMessage): void {
  process.send?.(message);
}

async function run(plan: LoadPlan): Promise<LoadReport> {
  const phase = (reached: LoadPhase): void => tell({ kind: 'phase', phase: reached });
  switch (plan.mode) {
    case 'closed':
      return runClosedLoop(plan, phase);
    case 'open':
      return runOpenLoop(plan, phase);
    case 'streams':
      return runStreams(plan, phase);
    case 'slow':
      return runSlowReaders(plan, phase);
    default:
      return plan satisfies never;
  }
}

process.on('message', (plan: LoadPlan) => {
  run(plan).then(
    (report) => tell({ kind: 'report', report }),
    (error: unknown) => tell({ kind: 'failed', message: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
tell({ kind: 'ready' });
