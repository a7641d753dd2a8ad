import { smoothWeighted, startSmoothWeighted } from './core/smooth-weighted.ts';

/**
 * Keeps the state of a strategy for one group.
 * @param backends the group, in the order of the config
 * @param isAvailable whether a backend may be chosen now
 * @returns picks a backend that is available and not in `tried`, or undefined when there is none
 */
export function createBalancer<Backend extends { weight: number }>(
  backends: readonly Backend[],
  isAvailable: (backend: Backend) => boolean,
): (tried?: readonly Backend[]) => Backend | undefined {
  let credits = startSmoothWeighted(backends.length);
  return (tried = []) => {
    const candidates = backends.map((backend) => ({
      weight: backend.weight,
      available: !tried.includes(backend) && isAvailable(backend),
    }));
    const { chosen, state } = smoothWeighted(credits, candidates);
    credits = state;
    return chosen === undefined ? undefined : backends[chosen];
  };
}
