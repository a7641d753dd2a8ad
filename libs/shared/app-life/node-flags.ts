/**
 * Flags of Node for the worker. By default V8 lets the young generation of a process on a large machine grow to 3 × 32 MB,
 * and its helper threads take memory of their own: a steady stream of small batches, of which 22 MB are alive, grows the
 * process for minutes. Bounded, it is as large after two minutes as it will be.
 */
export const workerFlags: readonly string[] = ['--max-semi-space-size=4', '--single-threaded-gc'];
