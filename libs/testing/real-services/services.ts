/** One server of each kind for a whole test run, handed to the specs through the environment. */
import { startMariadb } from './mariadb.ts';
import { startPostgres } from './postgres.ts';
import type { PrivateServer, PrivateServerChoice } from './private-server.ts';
import { startRedis } from './redis.ts';

/** Environment variable that names a running server → how to start one of our own. */
export const startByVariable = {
  LLMPROXY_TEST_REDIS_URL: startRedis,
  LLMPROXY_TEST_POSTGRES_URL: startPostgres,
  LLMPROXY_TEST_MARIADB_URL: startMariadb,
} as const satisfies Record<string, (choice?: PrivateServerChoice) => Promise<PrivateServer>>;

export type ServiceVariable = keyof typeof startByVariable;

export interface ServicesForTests {
  /** The variables under which specs find the servers. */
  readonly env: Record<string, string>;
  stop(): Promise<void>;
}

/**
 * Starts Redis, PostgreSQL and MariaDB at once; one that the environment already names is used as it is.
 * @throws Error naming each server that did not start; the others are stopped then
 */
export async function startServicesForTests(choice: PrivateServerChoice = {}): Promise<ServicesForTests> {
  const variables = Object.keys(startByVariable) as ServiceVariable[];
  const env: Record<string, string> = {};
  const started: PrivateServer[] = [];
  const stop = async () => void (await Promise.all(started.map((server) => server.stop())));
  const failures: Error[] = [];
  const provide = async (variable: ServiceVariable) => {
    try {
      const given = process.env[variable];
      env[variable] = given ?? (await startOwn(variable, choice, started));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      failures.push(new Error(`${reason} (or set ${variable} to a running server)`, { cause }));
    }
  };
  await Promise.all(variables.map(provide));
  if (failures.length === 0) return { env, stop };
  await stop();
  throw new AggregateError(failures, failures.map((failure) => failure.message).join('\n'));
}

async function startOwn(
  variable: ServiceVariable,
  choice: PrivateServerChoice,
  started: PrivateServer[],
): Promise<string> {
  const server = await startByVariable[variable](choice);
  started.push(server);
  return server.url;
}
