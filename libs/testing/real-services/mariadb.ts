import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startServerProcess, untilReady } from '@llmproxy/debian-packages';
import mysql from 'mysql2/promise';
import type { PrivatePrograms, PrivateServer, PrivateServerChoice } from './private-server.ts';
import { privatePrograms } from './private-server.ts';
import { runProgram } from './run-program.ts';

export interface MariadbChoice extends PrivateServerChoice {
  /** More options of the server's command line. */
  readonly options?: readonly string[];
  /** PEM texts by which it offers TLS, and knows the certificates of clients. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
}

/** Starts a MariaDB on a unix socket, user `root` without password; takes about a second. */
export async function startMariadb(choice: MariadbChoice = {}): Promise<PrivateServer> {
  const programs = await privatePrograms('mariadb', ['mariadb-server-core'], choice);
  try {
    return await startOn(programs, [...(choice.options ?? []), ...(await tlsOptions(programs, choice.tls))]);
  } catch (cause) {
    await rm(programs.folder, { recursive: true, force: true });
    throw cause;
  }
}

async function startOn(programs: PrivatePrograms, more: readonly string[]): Promise<PrivateServer> {
  const { folder, root } = programs;
  const program = join(root, 'usr/sbin/mariadbd');
  const options = optionsFor(programs);
  await runProgram(programs, program, [...options, '--bootstrap'], await systemTables(root));
  const socket = join(folder, 'mariadb.sock');
  const server = await startServerProcess({
    ...programs.commandLine(program, [...options, ...more, `--socket=${socket}`]),
    env: programs.env,
    cwd: folder,
    stopSignal: 'SIGKILL',
    removeAfter: folder,
  });
  const url = `mysql://root@localhost/mysql?socketPath=${encodeURIComponent(socket)}`;
  try {
    await untilReady(server, 'MariaDB', () => answers(url));
  } catch (cause) {
    await server.stop();
    throw cause;
  }
  return { url, stop: () => server.stop(), unref: () => server.unref() };
}

/** The texts in files that whoever the server runs as can read. */
async function tlsOptions({ folder }: PrivatePrograms, tls: MariadbChoice['tls']): Promise<string[]> {
  if (tls === undefined) return [];
  return Promise.all(
    Object.entries(tls).map(async ([kind, text]) => {
      const path = join(folder, `${kind}.pem`);
      await writeFile(path, text);
      return `--ssl-${kind}=${path}`;
    }),
  );
}

/** MariaDB has its paths compiled in: each is told where the packages were unpacked. */
function optionsFor({ root, folder, data }: PrivatePrograms): string[] {
  const share = join(root, 'usr/share/mysql');
  return [
    '--no-defaults', // must come first
    `--basedir=${join(root, 'usr')}`,
    `--datadir=${data}`,
    `--tmpdir=${folder}`,
    `--pid-file=${join(folder, 'mariadb.pid')}`,
    `--lc-messages-dir=${share}`,
    `--character-sets-dir=${join(share, 'charsets')}`,
    `--plugin-dir=${join(root, 'usr/lib/mysql/plugin')}`,
    '--skip-networking',
    '--character-set-server=utf8mb4',
    '--collation-server=utf8mb4_general_ci',
    '--max-connections=200',
    // The tests' data is worth nothing: small files, and no write waits for a disk.
    '--innodb-log-file-size=8M',
    '--innodb-buffer-pool-size=32M',
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-flush-method=nosync',
    '--innodb-doublewrite=0',
    '--performance-schema=OFF',
    // Containers often forbid io_uring.
    '--innodb-use-native-aio=0',
  ];
}

/** What mariadb-install-db feeds to the server, without its help texts; one statement per line at the top. */
async function systemTables(root: string): Promise<string> {
  const files = ['mysql_system_tables.sql', 'mysql_system_tables_data.sql'];
  const texts = await Promise.all(files.map((file) => readFile(join(root, 'usr/share/mysql', file), 'utf8')));
  return ['CREATE DATABASE mysql;', 'USE mysql;', 'SET @auth_root_socket=NULL;', ...texts].join('\n');
}

async function answers(url: string): Promise<boolean> {
  try {
    const connection = await mysql.createConnection(url);
    await connection.end();
    return true;
  } catch {
    return false;
  }
}
