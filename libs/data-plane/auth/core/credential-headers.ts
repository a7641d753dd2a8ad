const bearer = /^bearer[ \t]+/i;

/**
 * The API key a request presents: the first of `headerNames` (lower case) that holds one. `Authorization` must be a
 * Bearer token, its scheme in any case; other headers hold the bare key.
 */
export function presentedKey(
  header: (name: string) => string | undefined,
  headerNames: readonly string[],
): string | undefined {
  for (const name of headerNames) {
    const value = header(name)?.trim();
    if (!value) continue;
    if (name !== 'authorization') return value.replace(bearer, '');
    if (bearer.test(value)) return value.replace(bearer, '');
  }
  return undefined;
}
