// A lock between processes that cannot be left behind: the kernel drops it when its holder ends, however it ends.
// Plain JavaScript on purpose: the launcher takes it on any Node >= 20 before anything is installed or built.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const waitsMs = 500;

/**
 * Waits until this process alone holds the lock named by `file`, whose folder must exist.
 * flock(1) is part of every Debian (util-linux is essential), so it is there wherever apt is.
 * @param {string} file
 * @param {() => void} [onWait] called when somebody else holds it
 * @returns {Promise<import('./lock.d.mts').Lock>}
 */
export async function lockFile(file, onWait = () => undefined) {
  // `cat` ends when our end of its input closes: on release, and also when this process dies.
  const holder = spawn('flock', [file, 'sh', '-c', 'echo locked; exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = once(holder, 'close');
  const timer = setTimeout(onWait, waitsMs);
  try {
    const locked = await Promise.race([
      once(holder.stdout, 'data').then(() => true),
      ended.then(() => false),
    ]);
    if (!locked) throw new Error(`cannot lock ${file}: is the folder writable?`);
  } finally {
    clearTimeout(timer);
  }
  const release = async () => {
    holder.stdin.end();
    await ended;
  };
  return { release, [Symbol.asyncDispose]: release };
}
