/** The one schema: what a config file may hold. Types, JSON schema, docs and errors all come from here. */
import { z } from 'zod';
import { Auth } from './auth.ts';
import { Backends, HealthCheck, Routing } from './backends.ts';
import { ApiKeys } from './keys.ts';
import { filePath, listenAddress } from './leaves.ts';
import { RateLimit } from './limits.ts';
import { Logging, Log, Metrics, Redis } from './operations.ts';
import { Management, Server } from './server.ts';
import { Storage } from './storage.ts';
import { Usage } from './usage.ts';

export const ConfigFile = z.strictObject({
  server: Server,
  listen: listenAddress()
    .optional()
    .meta({ deprecated: true })
    .describe('Deprecated spelling of `server.listen`. Both together must agree.'),
  management: Management,
  backends: Backends,
  routing: Routing,
  health_check: HealthCheck,
  auth: Auth,
  api_keys: ApiKeys,
  rate_limit: RateLimit,
  usage: Usage,
  storage: Storage,
  redis: Redis,
  log: Log,
  logging: Logging,
  metrics: Metrics,
  data_dir: filePath()
    .default('./data')
    .describe('Folder for what the gateway itself keeps. Relative to the folder it is started in.'),
});
export type ConfigFile = z.output<typeof ConfigFile>;
