export { smoothWeighted, startSmoothWeighted, type SmoothWeighted } from './core/smooth-weighted.ts';
export { type Strategy, type Candidate } from './core/strategy.ts';
export { createBalancer } from './balancer.ts';
