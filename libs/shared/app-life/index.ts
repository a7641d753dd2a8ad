export { closeInOrder } from './close-in-order.ts';
export type { Part } from './close-in-order.ts';
export { endWith, runMain } from './run-main.ts';
export { listenForStop, untilToldToStop } from './told-to-stop.ts';
export { workerFlags } from './node-flags.ts';
