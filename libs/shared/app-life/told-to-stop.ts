/**
 * Resolves at a signal, or at the end of the parent that started us. Listen from the first moment on: a parent that has
 * gone does not say so twice.
 */
export function untilToldToStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const event of ['SIGTERM', 'SIGINT', 'disconnect']) process.once(event, () => resolve());
  });
}
