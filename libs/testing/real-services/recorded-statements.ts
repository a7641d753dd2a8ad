/** A relay in front of a SQL server that keeps the statements' texts, as the server is sent them. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { PlaceForTest } from './for-tests.ts';

export interface RecordedPlace extends PlaceForTest {
  /** Texts of all statements that clients of `url` have sent so far; parameters that travel beside them are not in it. */
  statements(): string[];
}

/** In front of a PostgreSQL: the texts of Query and Parse messages. */
export function recordPostgres(url: string): Promise<RecordedPlace> {
  return relay(url, postgresSocket(new URL(url)), postgresTexts);
}

/** In front of a MySQL or MariaDB: the texts of COM_QUERY and COM_STMT_PREPARE. */
export function recordMariadb(url: string): Promise<RecordedPlace> {
  return relay(url, new URL(url).searchParams.get('socketPath'), mariadbTexts);
}

function postgresSocket({ searchParams, port }: URL): string | null {
  const folder = searchParams.get('host');
  return folder?.startsWith('/') === true ? `${folder}/.s.PGSQL.${port || 5432}` : null;
}

async function relay(
  target: string,
  socketPath: string | null,
  textsIn: (sent: Buffer) => string[],
): Promise<RecordedPlace> {
  const { hostname, port } = new URL(target);
  const connections: Buffer[][] = [];
  const open = new Set<Socket>();
  const server = createServer((client) => {
    const sent: Buffer[] = [];
    connections.push(sent);
    const upstream = socketPath === null ? connect(Number(port), hostname) : connect(socketPath);
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on('error', () => undefined).on('close', () => (client.destroy(), upstream.destroy()));
    }
    client.on('data', (bytes) => void sent.push(bytes)).pipe(upstream);
    upstream.pipe(client);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: throughRelay(target, server),
    statements: () => connections.flatMap((sent) => textsIn(Buffer.concat(sent))),
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function throughRelay(target: string, server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the relay listens on no port');
  const url = new URL(target);
  url.searchParams.delete('host');
  url.searchParams.delete('socketPath');
  url.hostname = '127.0.0.1';
  url.port = String(address.port);
  return url.href;
}

const query = 'Q';
const parse = 'P';

/** A start message without a type, then messages of type, length, content. */
function postgresTexts(sent: Buffer): string[] {
  const texts: string[] = [];
  let at = sent.length < 4 ? sent.length : sent.readUInt32BE(0);
  while (at + 5 <= sent.length) {
    const type = String.fromCharCode(sent.readUInt8(at));
    const end = at + 1 + sent.readUInt32BE(at + 1);
    const [first = '', second = ''] = sent.toString('utf8', at + 5, end).split('\0');
    if (type === query) texts.push(first);
    if (type === parse) texts.push(second); // after the statement's name
    at = end;
  }
  return texts;
}

const comQuery = 0x03;
const comStmtPrepare = 0x16;

/** Packets of length, number, content; the first of each command has the number 0, and its kind as the first byte. */
function mariadbTexts(sent: Buffer): string[] {
  const texts: string[] = [];
  for (let at = 0; at + 5 <= sent.length;) {
    const end = at + 4 + sent.readUIntLE(at, 3);
    const isCommand = sent.readUInt8(at + 3) === 0;
    if (isCommand && [comQuery, comStmtPrepare].includes(sent.readUInt8(at + 4))) {
      texts.push(sent.toString('utf8', at + 5, end));
    }
    at = end;
  }
  return texts;
}
