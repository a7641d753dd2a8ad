/** A server that accepts no connection for this long is away. */
export const connectTimeoutMs = 5000;

const backOffMsMax = 2000;

/** 50 ms doubling to 2 s, each cut by up to half so that a fleet does not come back in step. */
export function backOff(attempt: number): number {
  const fullMs = Math.min(50 * 2 ** Math.min(attempt - 1, 10), backOffMsMax);
  return Math.round(fullMs * (0.5 + Math.random() / 2));
}
