/**
 * Canary secrets wherever clients put credentials, and in the credentials of backends: they are looked for in every place
 * that the gateway writes to.
 */
import { randomBytes } from 'node:crypto';
import {
  openai,
  play,
  startFakeBackend,
  type FakeBackend,
  type RecordedRequest,
} from '@llmproxy/fake-backend';
import { redisForTests } from '@llmproxy/real-services';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { folderContents, redisContents, sqliteContents } from './harness/contents.ts';
import { databaseIn, startGateway, startWorker, type Gateway } from './harness/gateway.ts';
import { fetchText, type Ask } from './harness/http-client.ts';
import { exchange } from './harness/raw-http.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';
import { usageRows } from './harness/usage-events.ts';

/** Name of a secret → the secret. What clients send, and what only the gateway knows. */
const clientSecrets: Record<string, string> = {};
const gatewaySecrets: Record<string, string> = {};

function canary(of: Record<string, string>, name: string): string {
  return (of[name] ??= `canary${randomBytes(12).toString('hex')}`);
}
const fromClient = (name: string): string => canary(clientSecrets, name);
const ofGateway = (name: string): string => canary(gatewaySecrets, name);

/** Names of the secrets that stand in a text, as they are or in one of the usual encodings. */
function leaks(secrets: Record<string, string>, text: string): string[] {
  const lower = text.toLowerCase();
  return Object.entries(secrets)
    .filter(([, secret]) => {
      const bytes = Buffer.from(secret);
      return [secret, bytes.toString('base64').slice(0, -4), bytes.toString('hex')].some((form) =>
        lower.includes(form.toLowerCase()),
      );
    })
    .map(([name]) => name);
}

const validKey = fromClient('the key itself');

/** Headers that carry credentials or say who someone is. */
const secretHeaders = (prefix = ''): Record<string, string> => ({
  'Proxy-Authorization': `Basic ${Buffer.from(`user:${fromClient(`${prefix}proxy-authorization`)}`).toString('base64')}`,
  'X-API-Key': fromClient(`${prefix}x-api-key`),
  'api-key': fromClient(`${prefix}api-key`),
  'x-goog-api-key': fromClient(`${prefix}x-goog-api-key`),
  'xi-api-key': fromClient(`${prefix}xi-api-key`),
  'X-Team-Key': fromClient(`${prefix}configured header`),
  Cookie: `session=${fromClient(`${prefix}cookie`)}`,
  'X-Amz-Security-Token': fromClient(`${prefix}x-amz-security-token`),
  'X-API-Key-UserId': fromClient(`${prefix}x-api-key-userid`),
  'X-API-Key-Name': fromClient(`${prefix}x-api-key-name`),
  'X-Forwarded-For': fromClient(`${prefix}x-forwarded-for`),
  'X-Forwarded-User': fromClient(`${prefix}x-forwarded-user`),
  'X-Forwarded-Access-Token': fromClient(`${prefix}x-forwarded-access-token`),
  'X-Real-IP': fromClient(`${prefix}x-real-ip`),
  Forwarded: `for=${fromClient(`${prefix}forwarded`)}`,
});

const secretQuery = ['key', 'api_key', 'api-key', 'KEY', 'access_token', 'token', '%6bey']
  .map((name) => `${name}=${fromClient(`query ${name}`)}`)
  .join('&');

const withKey = { Authorization: `Bearer ${validKey}`, ...secretHeaders() };
const wrongKeys = {
  Authorization: `Bearer ${fromClient('wrong authorization')}`,
  ...secretHeaders('wrong '),
};

const chat = { model: 'm', messages: [{ role: 'user', content: 'hi' }] };
const message = { ...chat, max_tokens: 10 };

/** Path and what to ask of it; each is sent with the right key and with wrong ones. */
const asks: readonly [path: string, ask: Ask][] = [
  ['/v1/chat/completions', { body: chat }],
  ['/v1/chat/completions', { body: { ...chat, stream: true } }],
  ['/v1/completions', { body: { model: 'm', prompt: 'hi', stream: true } }],
  ['/v1/embeddings', { body: { model: 'm', input: 'hi' } }],
  ['/v1/responses', { body: { model: 'm', input: 'hi', stream: true } }],
  ['/v1/messages', { body: message }],
  ['/v1/messages', { body: { ...message, stream: true } }],
  ['/v1/models', {}],
  ['/v1/models/no-such-model', {}],
  ['/v1/files', {}],
  ['/v1/files', { body: 'no JSON' }],
  ['/v1/chat/completions', { body: '{"model":' }],
  ['/v1/messages', { body: '[]' }],
  ['/v1/chat/completions', { method: 'DELETE' }],
  ['/nowhere', {}],
  ['/v1/embeddings', { body: `{"model":"${'x'.repeat(70_000)}"}` }],
  ['/v1/errors/401', {}],
  ['/v1/errors/cut', { body: { ...chat, stream: true } }],
  ['/v1/errors/reset', {}],
];

/** What a backend might send back of what it was sent. */
const echoed = (request: RecordedRequest) =>
  ['authorization', 'x-api-key', 'proxy-authorization'].flatMap((name) => [
    name,
    request.header(name) ?? 'none',
  ]);

function startEchoingBackend(): Promise<FakeBackend> {
  return startFakeBackend({
    plays: {
      '/v1/files': (request) => play.json({ data: [] }, { headers: echoed(request) }),
      '/v1/errors/401': openai.error(401),
      '/v1/errors/cut': play.stream([play.frame({ choices: [] })], { ending: 'cut' }),
      '/v1/errors/reset': play.reset(),
    },
  });
}

/** Sends everything; returns what clients were told. */
async function sendAll(address: string): Promise<string> {
  const told: unknown[] = [];
  for (const headers of [withKey, wrongKeys]) {
    for (const [path, ask] of asks) {
      const target = `${path}?beta=1&${secretQuery}`;
      told.push(await fetchText(address, target, { ...ask, headers }).catch((cause: Error) => cause.message));
    }
  }
  for (const name of ['x-api-key', 'api-key', 'x-goog-api-key', 'x-team-key']) {
    told.push(
      await fetchText(address, '/v1/embeddings', { body: { model: 'm' }, headers: { [name]: validKey } }),
    );
  }
  const noHttp = `POST /v1/chat/completions?${secretQuery} HTTP/1.1\r\nAuthorization: Bearer ${validKey}\r\n`;
  told.push(await exchange(address, `${noHttp}Cookie ${fromClient('cookie')}\r\n\r\n`));
  told.push(await exchange(address, `${noHttp}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}`));
  told.push(await exchange(address, `${noHttp}X-Huge: ${fromClient('cookie').repeat(4_000)}\r\n\r\n`));
  return JSON.stringify(told);
}

/** Requests in an access log that have a usage event: all that were let in, but for lists of models. */
const settledIn = (log: string): number =>
  log
    .split('\n')
    .filter(
      (line) => line.includes('"msg":"request"') && !/"outcome":"refused"|"path":"\/v1\/models/.test(line),
    ).length;

const resources = new AsyncDisposableStack();
afterAll(() => resources.disposeAsync());

/** Place → all that was found there. */
const places: Record<string, string> = {};
let backend: FakeBackend;

const authenticated = {
  header_names: ['Authorization', 'x-api-key', 'api-key', 'x-goog-api-key', 'X-Team-Key'],
  pipeline: [{ name: 'keys', type: 'static', static: { keys: [{ key: validKey, user_id: 'tester' }] } }],
};

async function startedGateway(folder: string, redisUrl: string, hookUrl: string): Promise<Gateway> {
  const gone = await startFakeBackend();
  await gone.close();
  return startGateway({
    folder,
    redisUrl,
    backends: [
      { name: 'fake', url: backend.url, api_key: ofGateway('api_key of the backend') },
      {
        name: 'gone',
        url: gone.url,
        auth: { type: 'header', header: 'X-Backend-Key', value: ofGateway('auth.value of the backend') },
        headers: { 'X-Tenant': ofGateway('header of the backend') },
      },
    ],
    config: {
      auth: authenticated,
      server: { max_body_size: '64KB' },
      usage: {
        include_request_body: true,
        reporters: [
          { name: 'sql', type: 'database', database: { storage: 'main' } },
          {
            name: 'hook',
            type: 'webhook',
            webhook: { url: `${hookUrl}/hook`, secret: ofGateway('secret of the webhook') },
          },
        ],
      },
    },
  });
}

beforeAll(async () => {
  const folder = resources.use(tempFolder()).path;
  const redis = resources.use(await redisForTests());
  const hook = resources.use(await startFakeBackend({ plays: { '/hook': play.json({}) } }));
  backend = resources.use(await startEchoingBackend());
  const gateway = resources.use(await startedGateway(folder, redis.url, hook.url));

  places['what clients were told'] = await sendAll(gateway.address);
  places['the backend'] = JSON.stringify(
    backend.requests.map(({ method, target, rawHeaders, body }) => [
      method,
      target,
      rawHeaders,
      body.toString(),
    ]),
  );
  places['/metrics'] = (await fetchText(gateway.management, '/metrics')).text;
  places['/readyz?verbose'] = (await fetchText(gateway.management, '/readyz?verbose')).text;
  gateway.kill('SIGTERM');
  expect(await gateway.exited).toEqual({ code: 0, signal: null });
  places['the log of the gateway'] = gateway.output.stdout + gateway.output.stderr;
  places['Redis, with events in the queue'] = await redisContents(redis.url);

  hook.enqueue(play.bytes('not now', 'text/plain', { status: 500 })); // the worker has something to log
  const worker = resources.use(await startWorker(folder));
  const events = settledIn(gateway.output.stdout);
  expect(events).toBeGreaterThan(10);
  await until('all events are in SQL and at the webhook, one there in a second attempt', () => {
    return usageRows(databaseIn(folder)).length === events && hook.requests.length === events + 1;
  });
  places['Redis, with events delivered'] = await redisContents(redis.url);
  worker.kill('SIGTERM');
  expect(await worker.exited).toEqual({ code: 0, signal: null });
  places['the log of the worker'] = worker.output.stdout + worker.output.stderr;
  places['SQL'] = sqliteContents(databaseIn(folder));
  places['webhook deliveries'] = JSON.stringify(
    hook.requests.map(({ rawHeaders, body }) => [rawHeaders, body.toString()]),
  );
});

/** As above, but no event can be queued: what is on disk then? */
beforeAll(async () => {
  const folder = resources.use(tempFolder()).path;
  const noRedis = `redis://:${ofGateway('password of Redis')}@127.0.0.1:1`;
  const gateway = resources.use(await startedGateway(folder, noRedis, backend.url));
  await sendAll(gateway.address);
  gateway.kill('SIGTERM');
  expect(await gateway.exited).toEqual({ code: 0, signal: null });
  places['the spool'] = folderContents(`${folder}/data/spool`);
  places['the log of a gateway without Redis'] = gateway.output.stdout + gateway.output.stderr;
});

/** What proves that a place was looked at: without it, an empty text would pass. */
const proofs: readonly [place: string, proof: RegExp][] = [
  ['what clients were told', /invalid_json.*unknown_route.*invalid_api_key/],
  ['the backend', /\/v1\/files\?beta=1/],
  ['/metrics', /llmproxy_requests_total\{/],
  ['/readyz?verbose', /\[\+\]redis|\[\+\]workers/],
  ['the log of the gateway', /"msg":"request".*"outcome":"refused"/],
  ['Redis, with events in the queue', /chat\.completions/],
  ['Redis, with events delivered', /bull/],
  ['the log of the worker', /"msg"/],
  ['SQL', /chat\.completions.*request_body/],
  ['webhook deliveries', /chat\.completions/],
  ['the spool', /chat\.completions/],
  ['the log of a gateway without Redis', /"msg":"request".*"outcome":"completed"/],
];

test.each(proofs)('no secret of a client gets to %s', (place, proof) => {
  expect(new RegExp(proof, 's').test(places[place] ?? ''), String(proof)).toBe(true);
  expect(leaks(clientSecrets, places[place] ?? '')).toEqual([]);
});

test.each(proofs.filter(([place]) => place !== 'the backend'))(
  'no credential of a backend gets to %s',
  (place) => {
    expect(leaks(gatewaySecrets, places[place] ?? '')).toEqual([]);
  },
);

test('the backend gets its own credential, and the search above would have found it', () => {
  expect(leaks(gatewaySecrets, places['the backend'] ?? '')).toEqual(['api_key of the backend']);
});

test('the parts of a query that are no credentials get to the backend', () => {
  expect(backend.requests.map(({ target }) => target)).toContain('/v1/files?beta=1');
});
