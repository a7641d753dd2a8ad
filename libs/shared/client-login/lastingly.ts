/**
 * Reads once at once, then as often as it is asked. What cannot be read any more is told, once, and what was read last
 * stays in use: a file that is being replaced must not end the connections of a process that runs.
 * @throws what `read` throws the first time
 */
export function lastingly<T>(read: () => T, tell: (reason: string) => void): () => T {
  let latest = read();
  let told = '';
  return () => {
    try {
      latest = read();
      told = '';
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : 'cannot be read';
      if (reason !== told) tell(`${reason}; what was read last stays in use`);
      told = reason;
    }
    return latest;
  };
}
