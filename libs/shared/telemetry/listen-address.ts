export type ListenAddress = { path: string } | { host: string | undefined; port: number };

/**
 * Reads a listen address: `:8000`, `8000`, `127.0.0.1:8000`, `[::1]:8000`, `localhost:0` or `unix:/run/x.sock`.
 * @throws Error naming the text when it is none of these or the port is not in 0..65535
 */
export function parseListen(text: string): ListenAddress {
  if (text.startsWith('unix:')) return { path: text.slice('unix:'.length).replace(/^\/\/\//, '/') };
  const match = /^(?:\[([^\]]+)\]:|([^:]*):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    throw new Error(
      `"${text}" is no listen address: use ":8000", "127.0.0.1:8000", "[::1]:8000" or "unix:/path/to.sock"`,
    );
  }
  const host = match[1] ?? match[2];
  return { host: host === undefined || host === '' ? undefined : host, port };
}
