import { join } from 'node:path';
import { startMockBackend } from '../bench/backend.ts';
import type { MockBackend } from '../bench/backend.ts';
import { startBenchRedis } from '../bench/gateway-parts.ts';
import { startGateway } from '../bench/gateway.ts';
import type { GatewayVariant } from '../bench/gateway.ts';
import { startLoadGenerator } from '../bench/load-generator.ts';
import type { LoadGenerator } from '../bench/load-generator.ts';
import type { Target } from '../bench/target.ts';
import type { Check, Place, Scenario } from './scenario.ts';

/** A fresh gateway with everything on, two workers, its backend and a load generator: one set per scenario. */
export interface Stand {
  readonly gateway: Target;
  readonly backend: MockBackend;
  readonly generator: LoadGenerator;
  readonly say: (line: string) => void;
}

const workers = 2;

/** Runs a scenario that needs a gateway and nothing else. */
export function onStand(
  run: (stand: Stand) => Promise<readonly Check[]>,
  variant: GatewayVariant = 'usual',
): Scenario['run'] {
  return async (place) => run(await standOf(place, variant));
}

async function standOf({ children, folder, repoRoot, say }: Place, variant: GatewayVariant): Promise<Stand> {
  const backend = await startMockBackend(children);
  const generator = await startLoadGenerator(children);
  const redis = await startBenchRedis(children, join(folder, 'redis'));
  const entry = join(repoRoot, 'dist/apps/gateway/main.js');
  const backendUrl = backend.url;
  const gateway = await startGateway(children, { variant, entry, workers, backendUrl, redis, folder });
  return { gateway, backend, generator, say };
}
