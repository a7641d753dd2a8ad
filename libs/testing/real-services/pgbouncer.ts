import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startServerProcess, untilReady } from '@llmproxy/debian-packages';
import pg from 'pg';
import type { PrivatePrograms, PrivateServer, PrivateServerChoice } from './private-server.ts';
import { privatePrograms } from './private-server.ts';

export interface PgbouncerChoice extends PrivateServerChoice {
  /** A PostgreSQL on a unix socket; user and database are the same before it. */
  readonly server: string;
  readonly poolMode: 'session' | 'transaction' | 'statement';
}

/** Starts a PgBouncer on a unix socket in front of a PostgreSQL that asks for no password. */
export async function startPgbouncer({
  server,
  poolMode,
  ...choice
}: PgbouncerChoice): Promise<PrivateServer> {
  const programs = await privatePrograms('pgbouncer', ['pgbouncer'], choice);
  try {
    return await startOn(programs, server, poolMode);
  } catch (cause) {
    await rm(programs.folder, { recursive: true, force: true });
    throw cause;
  }
}

async function startOn(programs: PrivatePrograms, server: string, poolMode: string): Promise<PrivateServer> {
  const { folder, root } = programs;
  const url = new URL(server);
  const behind = url.searchParams.get('host');
  url.searchParams.set('host', folder);
  const settings = join(folder, 'pgbouncer.ini');
  const users = join(folder, 'users.txt');
  await writeFile(users, `"${decodeURIComponent(url.username)}" ""\n`);
  await writeFile(
    settings,
    `[databases]
* = host=${behind} port=${url.port || 5432}
[pgbouncer]
listen_addr =
listen_port = ${url.port || 5432}
unix_socket_dir = ${folder}
auth_type = trust
auth_file = ${users}
pool_mode = ${poolMode}
`,
  );
  const process = await startServerProcess({
    ...programs.commandLine(join(root, 'usr/sbin/pgbouncer'), [settings]),
    env: programs.env,
    cwd: folder,
    stopSignal: 'SIGKILL',
    removeAfter: folder,
  });
  try {
    await untilReady(process, 'PgBouncer', () => answers(url.href));
  } catch (cause) {
    await process.stop();
    throw cause;
  }
  return { url: url.href, stop: () => process.stop(), unref: () => process.unref() };
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
