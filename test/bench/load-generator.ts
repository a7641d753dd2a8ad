import type { ChildProcess } from 'node:child_process';
import { messageFrom } from './children.ts';
import type { Children } from './children.ts';
import type { LoadMessage, LoadPhase, LoadPlan, LoadReport } from './plan.ts';

const isKind =
  <K extends LoadMessage['kind']>(...kinds: K[]) =>
  (message: unknown): message is Extract<LoadMessage, { kind: K }> =>
    typeof message === 'object' &&
    message !== null &&
    'kind' in message &&
    (kinds as unknown[]).includes(message.kind);

const anyMessage = isKind('phase', 'report', 'failed');

/** The load generator's process, seen from the process that directs it. Runs one plan at a time. */
export interface LoadGenerator {
  readonly pid: number;
  /** @throws Error when the generator itself fails; errors of the destination are in the report */
  run(plan: LoadPlan, phase?: (phase: LoadPhase) => void): Promise<LoadReport>;
}

export async function startLoadGenerator(children: Children): Promise<LoadGenerator> {
  const child = children.fork(new URL('./load.ts', import.meta.url));
  await messageFrom(child, isKind('ready'));
  return { pid: child.pid ?? 0, run: (plan, phase) => runPlan(child, plan, phase) };
}

/** One listener for the whole plan, so that no message falls between two. */
async function runPlan(
  child: ChildProcess,
  plan: LoadPlan,
  phase: ((phase: LoadPhase) => void) | undefined,
): Promise<LoadReport> {
  return new Promise((resolve, reject) => {
    const exited = (): void => settle(() => reject(new Error('the load generator has ended')));
    const heard = (message: unknown): void => {
      if (!anyMessage(message)) return;
      if (message.kind === 'phase') phase?.(message.phase);
      else if (message.kind === 'report') settle(() => resolve(message.report));
      else settle(() => reject(new Error(message.message)));
    };
    const settle = (then: () => void): void => {
      child.off('message', heard).off('exit', exited);
      then();
    };
    child.on('message', heard).on('exit', exited);
    child.send(plan);
  });
}
