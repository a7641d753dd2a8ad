/** How a config names a database server: by a URL, or by the parts of one. */
export interface SqlParts {
  /** `postgres://user:password@host:port/database` or `mysql://…`. Wins over the parts. */
  dsn?: string | undefined;
  /** Default 127.0.0.1. */
  host?: string | undefined;
  port: number;
  user?: string | undefined;
  password?: string | undefined;
  database?: string | undefined;
}

/** The URL to connect to. */
export function sqlAddress(driver: 'postgres' | 'mysql', parts: SqlParts): string {
  if (parts.dsn !== undefined) return parts.dsn;
  const { host = '127.0.0.1', port, database = '' } = parts;
  const authority = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  return `${driver}://${login(parts)}${authority}:${port}/${encodeURIComponent(database)}`;
}

function login({ user, password }: SqlParts): string {
  if (user === undefined) return '';
  const secret = password === undefined ? '' : `:${encodeURIComponent(password)}`;
  return `${encodeURIComponent(user)}${secret}@`;
}
