import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Gate } from './gate.ts';
import type { Ending, Play, Steps } from './play.ts';

/**
 * Carries a play out. Returns when it has ended or the client has gone, whichever is first.
 * @param gone resolves when the connection is lost
 */
export async function perform(play: Play, response: ServerResponse, gone: Promise<void>): Promise<void> {
  const socket = response.socket;
  if (!socket) return;
  let left = false;
  const leave = gone.then(() => {
    left = true;
  });
  const stage = { hasLeft: () => left, leave };
  if (play.kind === 'raw') {
    await run(play.bytes, (bytes, done) => socket.write(bytes, done), stage);
    if (!left) finish(play.ending, () => socket.end(), socket);
    return;
  }
  if (play.headAfter) await Promise.race([play.headAfter.opened, leave]);
  if (left) return;
  response.writeHead(play.status, [...play.headers]);
  response.flushHeaders();
  await run(play.body, (bytes, done) => response.write(bytes, done), stage);
  if (!left) finish(play.ending, () => response.end(), socket);
}

const isGate = (step: object | string): step is Gate => typeof step === 'object' && 'opened' in step;

interface Stage {
  hasLeft(): boolean;
  leave: Promise<void>;
}

type Write = (bytes: string | Uint8Array, done: () => void) => unknown;

async function run(steps: Steps, write: Write, { hasLeft, leave }: Stage): Promise<void> {
  for await (const step of steps) {
    if (hasLeft()) return;
    if (typeof step === 'function') await Promise.race([step(), leave]);
    else if (isGate(step)) await Promise.race([step.opened, leave]);
    else {
      await Promise.race([new Promise<void>((resolve) => write(step, resolve)), leave]);
      await nextTurn(); // writes of one turn would share a packet
    }
  }
}

function finish(ending: Ending, end: () => unknown, socket: Socket): void {
  switch (ending) {
    case 'end':
      end();
      return;
    case 'reset':
      socket.resetAndDestroy();
      return;
    case 'cut':
      socket.destroySoon();
      return;
    case 'hang':
      return;
    default:
      ending satisfies never;
  }
}
