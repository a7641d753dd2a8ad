import { existsSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startServerProcess, untilReady } from '@llmproxy/debian-packages';
import pg from 'pg';
import type { PrivatePrograms, PrivateServer, PrivateServerChoice } from './private-server.ts';
import { privatePrograms } from './private-server.ts';
import { runProgram } from './run-program.ts';

/** The tests' data is worth nothing: no write waits for a disk. */
const settings = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'max_connections=200'];
/** Time zones come from the machine, which may have none; GMT is built in. */
const zone = ['timezone=GMT', 'log_timezone=GMT'];

export interface PostgresChoice extends PrivateServerChoice {
  /** Listens on 127.0.0.1 and 127.0.0.2 too, and lets in there, over TLS only, who has a certificate by `ca`. */
  readonly tls?: TlsListener | undefined;
}

/** Texts in PEM. */
export interface TlsListener {
  readonly port: number;
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** Starts a PostgreSQL on a unix socket, user `postgres` without password; takes about a second. */
export async function startPostgres(choice: PostgresChoice = {}): Promise<PrivateServer> {
  const programs = await privatePrograms('postgresql', ['postgresql-15'], choice);
  try {
    return await startOn(programs, choice.tls);
  } catch (cause) {
    await rm(programs.folder, { recursive: true, force: true });
    throw cause;
  }
}

async function startOn(programs: PrivatePrograms, tls: TlsListener | undefined): Promise<PrivateServer> {
  const { folder, data } = programs;
  const bin = binFolder(programs.root);
  // PostgreSQL finds its share and lib folders relative to its own executable.
  const cluster = ['-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'];
  await runProgram(programs, join(bin, 'initdb'), ['-D', data, ...cluster]);
  const listening = tls === undefined ? [`listen_addresses=`] : await listenOver(tls, programs);
  const options = [...settings, ...zone, ...listening].flatMap((setting) => ['-c', setting]);
  const server = await startServerProcess({
    ...programs.commandLine(join(bin, 'postgres'), ['-D', data, '-k', folder, ...options]),
    env: programs.env,
    cwd: folder,
    // Immediate shutdown: unlike SIGKILL it releases the shared memory, which would outlast the process.
    stopSignal: 'SIGQUIT',
    removeAfter: folder,
  });
  const port = tls === undefined ? '' : `:${tls.port}`;
  const url = `postgres://postgres@localhost${port}/postgres?host=${encodeURIComponent(folder)}`;
  try {
    await untilReady(server, 'PostgreSQL', () => answers(url));
  } catch (cause) {
    await server.stop();
    throw cause;
  }
  return { url, stop: () => server.stop(), unref: () => server.unref() };
}

/** Settings for it; the number of the unix socket is that of the port. */
async function listenOver({ port, ...texts }: TlsListener, programs: PrivatePrograms): Promise<string[]> {
  const hba = 'local all all trust\nhostssl all all 127.0.0.0/8 trust clientcert=verify-ca\n';
  return [
    'ssl=on',
    `port=${port}`,
    'listen_addresses=127.0.0.1,127.0.0.2',
    `ssl_cert_file=${await programs.secretFile('server.crt', texts.cert)}`,
    `ssl_key_file=${await programs.secretFile('server.key', texts.key)}`,
    `ssl_ca_file=${await programs.secretFile('ca.crt', texts.ca)}`,
    `hba_file=${await programs.secretFile('hba.conf', hba)}`,
  ];
}

function binFolder(root: string): string {
  const versions = join(root, 'usr/lib/postgresql');
  const version = existsSync(versions) ? readdirSync(versions)[0] : undefined;
  if (version === undefined)
    throw new Error(`${versions} holds no PostgreSQL; remove ${root} to unpack it again`);
  return join(versions, version, 'bin');
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
