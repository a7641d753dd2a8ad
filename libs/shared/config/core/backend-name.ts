/** The name of a backend: its own, or host and port of its URL. */
export function backendName({ name, url }: { name?: string | undefined; url: string }): string {
  if (name !== undefined) return name;
  const { hostname, port, protocol } = new URL(url);
  return `${hostname}:${port === '' ? (protocol === 'https:' ? '443' : '80') : port}`;
}
