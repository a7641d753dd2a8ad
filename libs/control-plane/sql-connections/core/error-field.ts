/** A property of an error object of unknown make. */
export function errorField(cause: unknown, field: string): unknown {
  return typeof cause === 'object' && cause !== null ? (cause as Record<string, unknown>)[field] : undefined;
}
