/** How a config names a PostgreSQL or MySQL database, in any of the spellings in use, as one URL. */

export interface SqlParts {
  /** A URL, `user:password@tcp(host:port)/db` (MySQL) or `host=… user=… dbname=…` (PostgreSQL). Wins over the parts. */
  dsn?: string | undefined;
  host?: string | undefined;
  port?: number | undefined;
  user?: string | undefined;
  password?: string | undefined;
  database?: string | undefined;
}

const goMysql = /^(?:([^:@]*)(?::(.*))?@)?(?:(tcp|unix)\((.*)\))?\/([^?]*)(?:\?(.*))?$/s;
const keyValue = /(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S*))/g;

/** @throws Error, without the dsn's text (it holds a password), when the dsn is in none of the spellings */
export function sqlAddress(driver: 'postgres' | 'mysql', parts: SqlParts): string {
  const { dsn } = parts;
  if (dsn === undefined || dsn === '') return url(driver, parts);
  if (/^(postgres(ql)?|mysql|mariadb):\/\//.test(dsn)) return dsn.replace(/^mariadb:/, 'mysql:');
  if (driver === 'mysql') return fromGoMysql(dsn);
  return fromKeyValues(dsn);
}

function fromGoMysql(dsn: string): string {
  const match = goMysql.exec(dsn);
  if (!match)
    throw new Error(
      'the dsn is neither mysql://user:password@host:port/db nor user:password@tcp(host:port)/db',
    );
  const [, user, password, net, address = '', database, query] = match;
  const search = new URLSearchParams();
  if (net === 'unix') search.set('socketPath', address);
  if (['true', 'skip-verify'].includes(new URLSearchParams(query).get('tls') ?? '')) {
    search.set('ssl', JSON.stringify({ rejectUnauthorized: !query?.includes('skip-verify') }));
  }
  const [host, port] = net === 'tcp' ? hostAndPort(address) : ['localhost', undefined];
  return url('mysql', { host, port, user, password, database }, search);
}

function fromKeyValues(dsn: string): string {
  const values = new Map<string, string>();
  for (const [, key = '', quoted, plain = ''] of dsn.matchAll(keyValue)) {
    values.set(key, quoted?.replace(/\\(.)/g, '$1') ?? plain);
  }
  if (!values.has('host') && !values.has('dbname')) {
    throw new Error(
      'the dsn is neither postgres://user:password@host:port/db nor host=… user=… password=… dbname=…',
    );
  }
  const search = new URLSearchParams();
  const sslmode = values.get('sslmode');
  if (sslmode !== undefined) search.set('sslmode', sslmode);
  const port = values.get('port');
  return url(
    'postgres',
    {
      host: values.get('host'),
      port: port === undefined ? undefined : Number(port),
      user: values.get('user'),
      password: values.get('password'),
      database: values.get('dbname'),
    },
    search,
  );
}

function url(driver: 'postgres' | 'mysql', parts: SqlParts, search = new URLSearchParams()): string {
  const { host = '127.0.0.1', port = driver === 'mysql' ? 3306 : 5432, database = '' } = parts;
  const authority = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  const query = search.size > 0 ? `?${search}` : '';
  return `${driver}://${login(parts)}${authority}:${port}/${encodeURIComponent(database)}${query}`;
}

function login({ user, password }: SqlParts): string {
  if (user === undefined || user === '') return '';
  const secret = password === undefined || password === '' ? '' : `:${encodeURIComponent(password)}`;
  return `${encodeURIComponent(user)}${secret}@`;
}

function hostAndPort(address: string): [string, number | undefined] {
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(address);
  return [match?.[1] ?? match?.[2] ?? address, match?.[3] === undefined ? undefined : Number(match[3])];
}
