/** A path to listen on: it is left behind by a process that was killed, and must not be taken from one that runs. */
import { lstatSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';

/**
 * Removes the socket of a process that was killed. A file of any other kind is somebody's: then listening fails with
 * EADDRINUSE.
 * @throws Error when another process answers there
 */
export async function makeWayForSocket(path: string): Promise<void> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return;
  if (await isSocketAnswered(path)) throw new Error(`another process answers on ${path}`);
  unlinkSync(path);
}

/** Whether a process listens there. */
export function isSocketAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
