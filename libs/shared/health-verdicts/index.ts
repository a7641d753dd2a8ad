export {
  followVerdicts,
  isHealthy,
  publishVerdict,
  readVerdicts,
  removeVerdicts,
} from './health-verdicts.ts';
export type { HealthVerdict } from './health-verdicts.ts';
