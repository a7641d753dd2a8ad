/**
 * The embedded Redis of `llmproxy start`: a real redis-server child whose data survives restarts. It listens on a
 * unix socket that only this user can open, and never outlives the process that started it by more than its save.
 */
import { createHash } from 'node:crypto';
import { lstat, mkdir, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { atMost } from '@llmproxy/time';
import type { RedisBinaryChoice } from './redis-binary.ts';
import { ask, spawnRedisServer } from './spawn.ts';
import { claim } from './tenancy.ts';

export interface EmbeddedRedisChoice extends RedisBinaryChoice {
  /** Where its data lives; made when missing. */
  readonly dataDir: string;
}

export interface EmbeddedRedis {
  /** `unix://…`, for `connectRedis`. */
  readonly url: string;
  readonly pid: number;
  /** Resolves once the server has ended, with how and its last lines of output. */
  readonly ended: Promise<string>;
  /** Saves, ends the server and waits for its end. Safe to call twice. */
  stop(): Promise<void>;
}

/** A server that answers nothing saves nothing either; it is sent its stop signal then. */
const saveMsMax = 30_000;

/** Room for the terminating NUL of sun_path on every system: 108 bytes on Linux, 104 elsewhere. */
const socketBytesMax = 103;

/**
 * Starts a redis-server on the data in `dataDir`: append-only file on, synced every second, nothing evicted.
 * A server left behind by a process that is gone is shut down first.
 * @throws Error when a running process already uses the folder, or when there is no redis-server to run
 */
export async function startEmbeddedRedis(choice: EmbeddedRedisChoice): Promise<EmbeddedRedis> {
  const dataDir = resolve(choice.dataDir);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const socket = await socketFor(dataDir);
  const tenancy = await claim(dataDir, socket);
  try {
    const server = await spawnRedisServer({
      ...choice,
      socket,
      stopSignal: 'SIGTERM',
      settings: settingsFor(dataDir),
    });
    await tenancy.note(server.pid);
    return {
      url: `unix://${encodeURI(socket)}`,
      pid: server.pid,
      ended: server.ended,
      async stop() {
        await atMost(
          ask(socket, (redis) => redis.shutdown('SAVE')),
          saveMsMax,
        );
        await server.stop();
        await tenancy.release();
        if (dirname(socket) !== dataDir) await rm(dirname(socket), { recursive: true, force: true });
      },
    };
  } catch (cause) {
    await tenancy.release();
    throw cause;
  }
}

const settingsFor = (dataDir: string) => ({
  dir: dataDir,
  appendonly: 'yes',
  appendfsync: 'everysec',
  save: '',
  'maxmemory-policy': 'noeviction',
});

/** `redis.sock` beside the data, or in a short private folder when that path is too long for a socket. */
async function socketFor(dataDir: string): Promise<string> {
  const beside = join(dataDir, 'redis.sock');
  if (Buffer.byteLength(beside) <= socketBytesMax) return beside;
  const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 16);
  const folder = join(tmpdir(), `llmproxy-${userInfo().uid}-${hash}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // Anyone may create folders in the temporary directory: only one that is ours alone keeps others off the socket.
  const found = await lstat(folder);
  if (!found.isDirectory() || found.uid !== userInfo().uid || (found.mode & 0o077) !== 0) {
    throw new Error(
      `${folder} does not belong to this user alone; remove it, or choose a shorter data folder`,
    );
  }
  const socket = join(folder, 'redis.sock');
  if (Buffer.byteLength(socket) > socketBytesMax) {
    throw new Error(`${socket} is too long for a unix socket; choose a shorter data folder or TMPDIR`);
  }
  return socket;
}
