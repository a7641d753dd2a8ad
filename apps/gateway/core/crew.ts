/**
 * Which worker processes run, and whether the gateway may end. A process counts from its fork to its exit; that its
 * channel is closed says nothing, for that comes before the exit or after it. States:
 * - `serving`: → `stopping` when told to stop, → `ended` when no process runs then
 * - `stopping`: no process is to be started any more; → `ended` with the exit of the last one
 * - `ended`: for good
 */
export interface Crew {
  readonly state: 'serving' | 'stopping' | 'ended';
  /** Ids of the processes that run. */
  readonly running: ReadonlySet<number>;
}

export type CrewEvent =
  { kind: 'forked'; id: number } | { kind: 'exited'; id: number } | { kind: 'told-to-stop' };

export const noCrew: Crew = { state: 'serving', running: new Set() };

export function afterEvent(crew: Crew, event: CrewEvent): Crew {
  const running = new Set(crew.running);
  if (event.kind === 'forked') running.add(event.id);
  if (event.kind === 'exited') running.delete(event.id);
  const isStopping = event.kind === 'told-to-stop' || crew.state !== 'serving';
  if (!isStopping) return { state: 'serving', running };
  const hasEnded = crew.state === 'ended' || running.size === 0;
  return { state: hasEnded ? 'ended' : 'stopping', running };
}

/** Whether one that is gone is to be replaced. */
export const wantsWorkers = ({ state }: Crew): boolean => state === 'serving';
