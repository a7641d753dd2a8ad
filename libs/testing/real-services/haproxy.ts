import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { startServerProcess, untilReady } from '@llmproxy/debian-packages';
import type { PrivatePrograms, PrivateServer, PrivateServerChoice } from './private-server.ts';
import { privatePrograms } from './private-server.ts';

export interface HaproxyChoice extends PrivateServerChoice {
  /** Unix sockets of the servers behind it; at first all connections go to the first. */
  readonly sockets: readonly string[];
  /** Name of its own unix socket. */
  readonly socketName: string;
}

/** `url` is that of its unix socket. */
export interface Haproxy extends PrivateServer {
  /** Folder of its socket. */
  readonly folder: string;
  /** From now on new connections go to this server, counted from 0; those that are open stay where they are. */
  lead(index: number): Promise<void>;
}

/** Starts an HAProxy that hands connections on, byte for byte, to one of several servers. */
export async function startHaproxy({ sockets, socketName, ...choice }: HaproxyChoice): Promise<Haproxy> {
  const programs = await privatePrograms('haproxy', ['haproxy'], choice);
  try {
    return await startOn(programs, sockets, socketName);
  } catch (cause) {
    await rm(programs.folder, { recursive: true, force: true });
    throw cause;
  }
}

async function startOn(
  programs: PrivatePrograms,
  sockets: readonly string[],
  socketName: string,
): Promise<Haproxy> {
  const { folder, root } = programs;
  const socket = join(folder, socketName);
  const admin = join(folder, 'admin.sock');
  const settings = join(folder, 'haproxy.cfg');
  const server = (path: string, index: number) =>
    `  server s${index} unix@${path} ${index === 0 ? '' : 'disabled'}\n`;
  await writeFile(
    settings,
    `global
  stats socket ${admin} level admin
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen sql
  bind unix@${socket}
${sockets.map(server).join('')}`,
  );
  const process = await startServerProcess({
    ...programs.commandLine(join(root, 'usr/sbin/haproxy'), ['-db', '-f', settings]),
    env: programs.env,
    cwd: folder,
    stopSignal: 'SIGKILL',
    removeAfter: folder,
  });
  try {
    await untilReady(process, 'HAProxy', () => listens(admin));
  } catch (cause) {
    await process.stop();
    throw cause;
  }
  return {
    url: `unix://${encodeURI(socket)}`,
    folder,
    lead: async (leader) => {
      for (const index of sockets.keys()) {
        await command(admin, `set server sql/s${index} state ${index === leader ? 'ready' : 'maint'}`);
      }
    },
    stop: () => process.stop(),
    unref: () => process.unref(),
  };
}

async function listens(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function command(path: string, line: string): Promise<void> {
  const answer = (await text(connect(path).end(`${line}\n`))).trim();
  if (answer !== '') throw new Error(`HAProxy says to "${line}": ${answer}`);
}
