export { openHealthChecks, type HealthChecks, type HealthChecksOptions } from './health-checks.ts';
export { probeBackend, type ProbedBackend, type ProbeRequest, type ProbeResult } from './probe-backend.ts';
export type { ProbeOutcome, ProbeRules } from './prober.ts';
