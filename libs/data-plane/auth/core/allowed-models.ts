/** Which models a key may use. */

/** Whether a model may be used. */
export type AllowsModel = (model: string) => boolean;

/**
 * Reads a list of exact names, `*`, and prefixes that end in `*`. Case counts, as it does for backends.
 * @returns null when all are allowed, `unreadable` when an entry has a `*` elsewhere than at its end
 */
export function parseAllowedModels(entries: readonly string[]): AllowsModel | null | 'unreadable' {
  const exact = new Set<string>();
  const prefixes: string[] = [];
  for (const entry of entries.map((text) => text.trim())) {
    const starAt = entry.indexOf('*');
    if (starAt === -1) exact.add(entry);
    else if (starAt === entry.length - 1) prefixes.push(entry.slice(0, -1));
    else return 'unreadable';
  }
  if (entries.length === 0 || prefixes.includes('')) return null;
  return (model) => exact.has(model) || prefixes.some((prefix) => model.startsWith(prefix));
}
