/** Loaded into a process with `--expose-gc --import`: asked over IPC, it collects its garbage and says what is left. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

process.on('message', (message) => {
  if (message !== 'heap') return;
  collect();
  process.send?.({ heapBytes: process.memoryUsage().heapUsed });
});
// The question alone keeps nobody alive.
process.channel?.unref();
