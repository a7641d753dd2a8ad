/** Microseconds of the machine's monotonic clock: the same base in every process, unlike `performance.now()`. */
export function monotonicMicros(): number {
  const [seconds, nanos] = process.hrtime();
  return seconds * 1_000_000 + Math.trunc(nanos / 1000);
}
