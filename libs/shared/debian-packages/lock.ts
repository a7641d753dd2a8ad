/** A lock between processes that cannot be left behind: the kernel drops it when its holder ends, however it ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Waits until this process alone holds the lock named by `file`; release by disposing.
 * flock(1) is part of every Debian (util-linux is essential), so it is there wherever apt is.
 */
export async function lockFile(file: string): Promise<AsyncDisposable> {
  // `cat` ends when our end of its input closes: on release, and also when this process dies.
  const holder = spawn('flock', [file, 'sh', '-c', 'echo locked; exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = once(holder, 'close');
  const locked = await Promise.race([once(holder.stdout, 'data').then(() => true), ended.then(() => false)]);
  if (!locked) throw new Error(`cannot lock ${file}: is the folder writable?`);
  return {
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await ended;
    },
  };
}
