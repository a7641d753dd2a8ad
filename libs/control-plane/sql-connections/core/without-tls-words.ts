/** Words of libpq in a URL of PostgreSQL that say how the connection is encrypted. */
const words = /^ssl(mode|rootcert|cert|key)$/;

/** The URL without them; nothing else of it is changed. The driver has a meaning of its own for some. */
export function withoutTlsWords(url: string): string {
  const at = url.indexOf('?');
  if (at < 0) return url;
  const nameOf = (pair: string) => [...new URLSearchParams(pair).keys()][0] ?? '';
  const kept = url
    .slice(at + 1)
    .split('&')
    .filter((pair) => !words.test(nameOf(pair)));
  return kept.length === 0 ? url.slice(0, at) : `${url.slice(0, at)}?${kept.join('&')}`;
}
