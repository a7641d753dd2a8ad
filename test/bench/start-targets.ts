/** Starts everything that is to be measured; what cannot be started is left out with a line that says why. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { MockBackend } from './backend.ts';
import type { Children } from './children.ts';
import { startGateway } from './gateway.ts';
import type { GatewayVariant } from './gateway.ts';
import { buildApps, startBenchRedis } from './gateway-parts.ts';
import { debianNginx, startNginx } from './nginx.ts';
import { startPortkey } from './portkey.ts';
import type { Skipped, Target } from './target.ts';

export interface StartOptions {
  readonly children: Children;
  readonly backend: MockBackend;
  /** For this run only. */
  readonly folder: string;
  readonly repoRoot: string;
  readonly say: (line: string) => void;
}

export interface Started {
  readonly targets: readonly Target[];
  readonly skipped: readonly Skipped[];
}

export async function startTargets(options: StartOptions): Promise<Started> {
  const { children, backend, folder, repoRoot, say } = options;
  const nginx = async (): Promise<Target[]> => [
    await startNginx(children, await debianNginx(say), backend, join(folder, 'nginx')),
  ];
  const portkey = async (): Promise<Target[]> => [
    await startPortkey(children, backend, join(repoRoot, '.cache/bench/portkey')),
  ];
  const starts: readonly (readonly [string, () => Promise<Target[]>])[] = [
    ['nginx', nginx],
    ['llmproxy', () => startGateways(options)],
    ['portkey', portkey],
  ];
  const targets: Target[] = [];
  const skipped: Skipped[] = [];
  for (const [name, start] of starts) {
    say(`starting ${name} …`);
    try {
      targets.push(...(await start()));
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';
      skipped.push({ name, reason });
      say(`SKIPPED ${name}: ${reason}`);
    }
  }
  return { targets, skipped };
}

const variants: readonly GatewayVariant[] = ['usual', 'no auth', 'all limits'];

/** The gateway as most would run it, and what auth and limits add. */
async function startGateways({ children, backend, folder, repoRoot, say }: StartOptions): Promise<Target[]> {
  const entry = join(repoRoot, 'dist/apps/gateway/main.js');
  await buildApps(repoRoot, ['gateway'], say);
  if (!existsSync(entry)) throw new Error(`${entry} is not there after the build`);
  const targets: Target[] = [];
  for (const variant of variants) {
    const own = join(folder, `gateway-${variant.replace(' ', '-')}`);
    const redis = await startBenchRedis(children, join(own, 'redis'));
    const where = { entry, workers: 2, backendUrl: backend.url, redis, folder: own };
    targets.push(await startGateway(children, { variant, ...where }));
  }
  return targets;
}
