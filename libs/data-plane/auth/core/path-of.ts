/** Path of a request target: without query, and without origin when the target is absolute. */
export function pathOf(target: string): string {
  const queryAt = target.indexOf('?');
  const whole = queryAt === -1 ? target : target.slice(0, queryAt);
  return whole.startsWith('/') ? whole : whole.replace(/^https?:\/\/[^/]*/i, '');
}
