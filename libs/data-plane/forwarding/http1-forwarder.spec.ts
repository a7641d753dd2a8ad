import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createServer as createTlsServer, getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createGate, play, startFakeBackend, type FakeBackend } from '@llmproxy/fake-backend';
import type { Answer, Forwarder } from '@llmproxy/exchange';
import { NothingSent } from './core/failure.ts';
import { openHttp1Forwarder, type Http1ForwarderOptions } from './http1-forwarder.ts';

let backend: FakeBackend;
const open: { close(): unknown }[] = [];
beforeEach(async () => {
  backend = await startFakeBackend();
});
afterEach(async () => {
  for (const resource of open.splice(0)) await resource.close();
  await backend.close();
});

function forwarderTo(origin: string, more: Partial<Http1ForwarderOptions> = {}): Forwarder {
  const forwarder = openHttp1Forwarder({ origin, connectTimeoutMs: 5_000, timeoutMs: 5_000, ...more });
  open.push(forwarder);
  return forwarder;
}

async function serving(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => undefined)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push({
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    },
  });
  return (server.address() as AddressInfo).port;
}

const post = { method: 'POST', target: '/v1/x', rawHeaders: [], body: Buffer.from('{}') };

/** All bytes of an answer, read as fast as they come. */
const bodyOf = (answer: Answer) =>
  new Promise<string>((resolve, reject) => {
    const chunks: Buffer[] = [];
    answer.pour({
      data: (chunk) => chunks.push(chunk) > 0,
      end: () => resolve(Buffer.concat(chunks).toString()),
      error: reject,
    });
  });

const tlsFile = (name: string) =>
  readFileSync(new URL(`../../../test/fixtures/tls/${name}`, import.meta.url));
const closedPort = async () => {
  const other = await startFakeBackend();
  await other.close();
  return other.url;
};

test.each<[string, () => Promise<string>, string]>([
  ['nobody listens', closedPort, 'ECONNREFUSED'],
  [
    'TLS is asked of a plain port',
    async () => `https://127.0.0.1:${await serving(createServer((socket) => socket.end('no TLS\r\n')))}`,
    'ERR_SSL_',
  ],
  [
    'the certificate is self-signed',
    async () =>
      `https://127.0.0.1:${await serving(createTlsServer({ key: tlsFile('backend.key'), cert: tlsFile('backend.crt') }))}`,
    'DEPTH_ZERO_SELF_SIGNED_CERT',
  ],
  [
    'the connection is reset in the TLS handshake',
    async () => `https://127.0.0.1:${await serving(createServer((socket) => socket.resetAndDestroy()))}`,
    'ECONNRESET',
  ],
  [
    'the TLS handshake takes too long',
    async () => `https://127.0.0.1:${await serving(createServer(() => undefined))}`,
    'BACKEND_CONNECT_TIMEOUT',
  ],
])('when %s, the attempt says that nothing was sent', async (_, origin, code) => {
  const { answer } = forwarderTo(await origin(), { connectTimeoutMs: 50 }).attempt(post);
  const failure = await answer.catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(NothingSent);
  expect((failure as NothingSent).cause).toMatchObject({ code: expect.stringContaining(code) as string });
});

test.each([
  ['resets before the head', play.reset(), {}],
  ['closes without an answer', play.raw([], 'cut'), {}],
  ['answers what is no HTTP', play.raw(['SSH-2.0-OpenSSH\r\n\r\n']), {}],
  [
    'switches protocols unasked',
    play.raw(['HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n']),
    {},
  ],
  ['does not answer in time', play.hang(), { timeoutMs: 50 }],
])('when the backend %s, the attempt does not say that nothing was sent', async (_, bad, options) => {
  backend.enqueue(bad);
  const { answer } = forwarderTo(backend.url, options).attempt(post);
  await expect(answer).rejects.not.toBeInstanceOf(NothingSent);
});

test.each([
  ['a reset', play.stream(['data: 1\n\n'], { ending: 'reset' })],
  ['a cut', play.stream(['data: 1\n\n'], { ending: 'cut' })],
  [
    'a cut of a connection that was to be closed',
    play.stream(['data: 1\n\n'], { ending: 'cut', headers: ['connection', 'close'] }),
  ],
  ['too few bytes', { ...play.bytes('abc'), headers: ['content-length', '4'], ending: 'cut' as const }],
  ['a bad chunk', play.raw(['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n'])],
])('%s in the middle of a body is an error of the body, never its end', async (_, broken) => {
  backend.enqueue(broken);
  const answer = await forwarderTo(backend.url).attempt(post).answer;
  await expect(bodyOf(answer)).rejects.toThrow();
});

test('bytes that cannot become an answer fail the attempt at once, though no line ends', async () => {
  backend.enqueue(play.raw(['SSH-2.0-OpenSSH'], 'hang'));
  await expect(forwarderTo(backend.url).attempt(post).answer).rejects.toThrow('not valid HTTP/1.1');
});

test.each([
  ['localhost', 'localhost'],
  ['127.0.0.1', undefined],
])('a TLS handshake with %s names the host it wants: %s', async (host, expected) => {
  const named = Promise.withResolvers<string | undefined>();
  const options = {
    key: tlsFile('backend.key'),
    cert: tlsFile('backend.crt'),
    SNICallback: (name: string, done: (error: null) => void) => {
      named.resolve(name);
      done(null);
    },
  };
  const port = await serving(createTlsServer(options));
  await forwarderTo(`https://${host}:${port}`)
    .attempt(post)
    .answer.catch(() => named.resolve(undefined));
  expect(await named.promise).toBe(expected);
});

test('a connection that the backend says it closes soon is not used again', async () => {
  const forwarder = forwarderTo(backend.url);
  for (const count of [1, 2, 3]) {
    backend.enqueue(play.bytes('ok', 'text/plain', { headers: ['Keep-Alive', 'timeout=1'] }));
    await bodyOf(await forwarder.attempt(post).answer);
    expect(backend.connections).toBe(count);
  }
});

test('a backend that refuses a large body without reading it, and hangs up, has its answer heard', async () => {
  const port = await serving(
    createServer((socket) => {
      socket.once('data', () => {
        socket.pause();
        socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig', () =>
          socket.destroy(),
        );
      });
    }),
  );
  const large = { ...post, body: Buffer.alloc(8 * 1024 * 1024, 'x') };
  const answer = await forwarderTo(`http://127.0.0.1:${port}`).attempt(large).answer;
  expect([answer.status, await bodyOf(answer)]).toEqual([413, 'big']);
});

test('a body that falls silent is an error of the body', async () => {
  backend.enqueue(play.stream(['data: 1\n\n'], { ending: 'hang' }));
  const answer = await forwarderTo(backend.url, { timeoutMs: 50 }).attempt(post).answer;
  await expect(bodyOf(answer)).rejects.toMatchObject({ code: 'BACKEND_SILENT' });
});

test('bytes that come before anyone asks for them are kept in order', async () => {
  const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
  backend.enqueue(play.raw([`${head}6\r\nearly \r\n5\r\nbytes\r\n0\r\n\r\n`], 'hang'));
  const answer = await forwarderTo(backend.url).attempt(post).answer;
  expect(await bodyOf(answer)).toBe('early bytes');
});

test('an attempt aborted before it has a connection never reaches the backend', async () => {
  const attempt = forwarderTo(backend.url).attempt(post);
  attempt.abort();
  await expect(attempt.answer).rejects.toThrow('aborted');
  await backend.arrived(0);
  const next = forwarderTo(backend.url).attempt({ ...post, target: '/v1/next' });
  await next.answer;
  expect(backend.requests.map(({ target }) => target)).toEqual(['/v1/next']);
});

test('a connection lost in the turn in which it was given a request has sent nothing of it', async () => {
  const forwarder = openHttp1Forwarder({ origin: backend.url, connectTimeoutMs: 5_000, timeoutMs: 5_000 });
  await bodyOf(await forwarder.attempt(post).answer);
  const attempt = forwarder.attempt({ ...post, target: '/v1/lost' });
  await forwarder.close();
  await expect(attempt.answer).rejects.toBeInstanceOf(NothingSent);
  await forwarderTo(backend.url).attempt({ ...post, target: '/v1/next' }).answer;
  expect(backend.requests.map(({ target }) => target)).toEqual(['/v1/x', '/v1/next']);
});

test('an attempt aborted while the backend thinks is cancelled there', async () => {
  backend.enqueue(play.hang());
  const attempt = forwarderTo(backend.url).attempt(post);
  const [seen] = await backend.arrived(1);
  attempt.abort();
  await expect(attempt.answer).rejects.toThrow('aborted');
  await seen?.aborted;
});

test('after an abort the sink hears nothing more, and a second abort does nothing', async () => {
  const gate = createGate();
  backend.enqueue(play.stream(['data: 1\n\n', gate, 'data: 2\n\n']));
  const answer = await forwarderTo(backend.url).attempt(post).answer;
  const heard: string[] = [];
  const first = Promise.withResolvers<void>();
  answer.pour({
    data: (chunk) => {
      heard.push(chunk.toString());
      first.resolve();
      return true;
    },
    end: () => heard.push('end'),
    error: () => heard.push('error'),
  });
  await first.promise;
  answer.abort();
  answer.abort();
  await backend.requests[0]?.aborted;
  gate.open();
  expect(heard).toEqual(['data: 1\n\n']);
});

test('aborting an answer that is complete leaves its connection for the next request', async () => {
  const forwarder = forwarderTo(backend.url);
  for (const body of ['one', 'two', 'three', 'four', 'five']) {
    backend.enqueue(play.bytes(body));
    const answer = await forwarder.attempt(post).answer;
    expect(await bodyOf(answer)).toBe(body);
    answer.abort();
  }
  expect(backend.connections).toBeLessThan(3); // the second, while the first is not yet free again
});

test('a paused answer stops the backend, and goes on after resume', async () => {
  const bytes = 64 * 1024 * 1024;
  let sent = 0;
  const piece = Buffer.alloc(64 * 1024);
  async function* counted() {
    for (; sent < bytes; sent += piece.length) yield await Promise.resolve(piece);
  }
  backend.enqueue({ ...play.stream(counted()), headers: ['content-length', String(bytes)] });
  const answer = await forwarderTo(backend.url).attempt(post).answer;
  let received = 0;
  let flowing = false;
  const [firstBytes, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  answer.pour({
    data: (chunk) => {
      received += chunk.length;
      firstBytes.resolve();
      return flowing;
    },
    end: ended.resolve,
    error: ended.reject,
  });
  await firstBytes.promise;
  await settledAt(() => sent);
  expect(sent).toBeLessThan(bytes / 2);
  expect(received).toBeLessThan(1024 * 1024);
  flowing = true;
  answer.resume();
  await ended.promise;
  expect(received).toBe(bytes);
});

/** Reads a body a piece at a time, letting the event loop turn between them. */
const slowly = (answer: Answer) =>
  new Promise<number>((resolve, reject) => {
    let bytes = 0;
    answer.pour({
      data: (chunk) => {
        bytes += chunk.length;
        setImmediate(() => answer.resume());
        return false;
      },
      end: () => resolve(bytes),
      error: reject,
    });
  });

const megabytes = Buffer.alloc(4 * 1024 * 1024, 'x');
const inChunks = Buffer.concat(
  Array.from({ length: 64 }, () => Buffer.from(`10000\r\n${'x'.repeat(65_536)}\r\n`)).concat(
    Buffer.from('0\r\n\r\n'),
  ),
);

test.each([
  ['a length', 'Content-Length: 4194304', megabytes],
  ['a length, the connection then closed', 'Content-Length: 4194304\r\nConnection: close', megabytes],
  ['chunks', 'Transfer-Encoding: chunked', inChunks],
  ['chunks, the connection then closed', 'Transfer-Encoding: chunked\r\nConnection: close', inChunks],
  ['its end at the end of the connection', 'X-None: 1', megabytes],
])('a slow reader gets all of a body with %s, though the backend is long gone', async (_, framing, bytes) => {
  const port = await serving(
    createServer((socket) => {
      socket.once('data', () =>
        socket.end(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n`), bytes])),
      );
    }),
  );
  const answer = await forwarderTo(`http://127.0.0.1:${port}`).attempt(post).answer;
  expect(await slowly(answer)).toBe(megabytes.length);
});

test('a body that ends with its connection, reset instead, is an error of the body', async () => {
  backend.enqueue(play.raw(['HTTP/1.1 200 OK\r\n\r\nhalf'], 'reset'));
  const answer = await forwarderTo(backend.url).attempt(post).answer;
  await expect(bodyOf(answer)).rejects.toThrow('ECONNRESET');
});

test('an answer that comes a byte at a time is the same answer', async () => {
  const text =
    'HTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: t\r\n\r\n';
  backend.enqueue(play.raw([...text], 'hang'));
  const answer = await forwarderTo(backend.url).attempt(post).answer;
  expect(answer).toMatchObject({ status: 200, rawHeaders: ['Transfer-Encoding', 'chunked', 'X-A', 'b'] });
  expect(await bodyOf(answer)).toBe('abc');
});

test('bytes behind an answer end the connection and never become the next answer', async () => {
  const forwarder = forwarderTo(backend.url);
  backend.enqueue(
    play.raw(
      ['HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'],
      'hang',
    ),
    play.bytes('two'),
  );
  expect(await bodyOf(await forwarder.attempt(post).answer)).toBe('one');
  expect(await bodyOf(await forwarder.attempt(post).answer)).toBe('two');
});

test('an abort from within the sink ends the exchange there and then', async () => {
  backend.enqueue(play.stream(['data: 1\n\n', 'data: 2\n\n'], { ending: 'hang' }));
  const answer = await forwarderTo(backend.url).attempt(post).answer;
  const heard: string[] = [];
  answer.pour({
    data: (chunk) => {
      heard.push(chunk.toString());
      answer.abort();
      return true;
    },
    end: () => heard.push('end'),
    error: () => heard.push('error'),
  });
  await backend.requests[0]?.aborted;
  expect(heard).toEqual(['data: 1\n\n']);
});

test('a sink that throws fails its own exchange and no other', async () => {
  const forwarder = forwarderTo(backend.url);
  const gate = createGate();
  backend.enqueue(play.stream([gate, 'data: 1\n\n'], { ending: 'hang' }), play.bytes('fine'));
  const failed = Promise.withResolvers<Error>();
  (await forwarder.attempt(post).answer).pour({
    data: () => {
      throw new Error('a bug of ours');
    },
    end: () => undefined,
    error: failed.resolve,
  });
  gate.open();
  expect((await failed.promise).message).toBe('a bug of ours');
  await backend.requests[0]?.aborted;
  expect(await bodyOf(await forwarder.attempt(post).answer)).toBe('fine');
});

test('silence counts against a backend only while somebody listens', async () => {
  const forwarder = forwarderTo(backend.url, { timeoutMs: 50 });
  backend.on('/v1/x', () => play.stream(['data: 1\n\n'], { ending: 'hang' }));
  const [held, heard] = await Promise.all([forwarder.attempt(post).answer, forwarder.attempt(post).answer]);
  let failure: Error | undefined;
  held.pour({ data: () => false, end: () => undefined, error: (cause) => (failure = cause) });
  await expect(bodyOf(heard)).rejects.toMatchObject({ code: 'BACKEND_SILENT' });
  await expect(forwarder.attempt({ ...post, target: '/v1/x?' }).answer.then(bodyOf)).rejects.toThrow();
  expect(failure).toBeUndefined();
  held.abort();
});

test('a TLS session is taken up again by the next connection', async () => {
  const reused: boolean[] = [];
  const server = createTlsServer({ key: tlsFile('backend.key'), cert: tlsFile('backend.crt') }, (socket) => {
    reused.push(socket.isSessionReused());
    socket.once('data', () =>
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'),
    );
  });
  const forwarder = forwarderTo(`https://127.0.0.1:${await serving(server)}`);
  const trusted = getCACertificates();
  setDefaultCACertificates([...trusted, tlsFile('backend.crt')]);
  for (let i = 0; i < 2; i++) expect(await bodyOf(await forwarder.attempt(post).answer)).toBe('ok');
  setDefaultCACertificates(trusted);
  expect(reused).toEqual([false, true]);
});

/** Waits until a number has stopped changing: both ends live in this process, so its event loop then has nothing to do. */
async function settledAt(value: () => number): Promise<void> {
  for (let quiet = 0, last = value(); quiet < 500; quiet = last === value() ? quiet + 1 : 0) {
    last = value();
    await nextTurn();
  }
}
