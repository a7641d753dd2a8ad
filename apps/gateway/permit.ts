/** The admit stage. It counts what is in flight; limits and the ledger of open requests join it here. */
import type { GatewayMetrics } from './gateway-metrics.ts';
import type { Permit, Stages } from './pipeline.ts';

export function createAdmit(metrics: Pick<GatewayMetrics, 'started' | 'finished'>): Stages['admit'] {
  return (route, caller, ask) => {
    metrics.started();
    const permit: Permit = {
      settle: ({ backend }, relayed, usage) => ({ route, caller, ask, backend, relayed, usage }),
      [Symbol.dispose]: () => metrics.finished(),
    };
    return Promise.resolve(permit);
  };
}
