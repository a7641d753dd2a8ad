/**
 * Whether Redis is asked. `closed`: it is; too many failures in a row open it. `open`: it is not, until the time to try
 * has come. `half-open`: one probe is under way, requests still do without; its result closes or opens.
 */

export type Circuit =
  | { readonly state: 'closed'; readonly failures: number }
  | { readonly state: 'open'; readonly untilMs: number }
  | { readonly state: 'half-open' };

export interface CircuitRules {
  /** Failures in a row that open it. */
  readonly failuresMax: number;
  readonly openMs: number;
}

export const closedCircuit: Circuit = { state: 'closed', failures: 0 };

/** After a call that was made while the circuit was closed. */
export function afterCall(circuit: Circuit, ok: boolean, nowMs: number, rules: CircuitRules): Circuit {
  if (circuit.state !== 'closed') return circuit; // a straggler from before the trip proves nothing about now
  if (ok) return closedCircuit;
  const failures = circuit.failures + 1;
  return failures < rules.failuresMax ? { state: 'closed', failures } : opened(nowMs, rules);
}

/** An open circuit whose time has come lets one probe through. */
export function beforeProbe(circuit: Circuit, nowMs: number): Circuit {
  return circuit.state === 'open' && nowMs >= circuit.untilMs ? { state: 'half-open' } : circuit;
}

export function afterProbe(circuit: Circuit, ok: boolean, nowMs: number, rules: CircuitRules): Circuit {
  if (circuit.state !== 'half-open') return circuit;
  return ok ? closedCircuit : opened(nowMs, rules);
}

const opened = (nowMs: number, { openMs }: CircuitRules): Circuit => ({
  state: 'open',
  untilMs: nowMs + openMs,
});
