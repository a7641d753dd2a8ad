const secretParameter = /^(?:key|api[-_]?key|access[-_]?token|token)$/i;

/**
 * The request target as a backend sees it: the base URL's path prefix, then path and query as received, less the
 * query parameters that carry credentials (`?key=…`).
 */
export function backendTarget(prefix: string, path: string, target: string): string {
  const queryAt = target.indexOf('?');
  if (queryAt === -1) return prefix + path;
  const query = target.slice(queryAt + 1);
  const kept = query.split('&').filter((pair) => !secretParameter.test(decoded(pair.split('=', 1)[0] ?? '')));
  return kept.length === 0 || query === '' ? prefix + path : `${prefix}${path}?${kept.join('&')}`;
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
