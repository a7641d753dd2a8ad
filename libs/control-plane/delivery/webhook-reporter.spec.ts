import type { UsageEvent } from '@llmproxy/usage-queue';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { webhookReporter } from './index.ts';

const pem = (name: string) =>
  readFileSync(new URL(`../../../test/fixtures/tls/${name}`, import.meta.url), 'utf8');

test('a webhook that knows us by our certificate is delivered to with it', async () => {
  const delivered: string[] = [];
  const own = { cert: pem('server.crt'), key: pem('server.key'), ca: pem('ca.crt'), requestCert: true };
  const server = createServer(own, (incoming, answer) => {
    delivered.push(String(incoming.headers['idempotency-key']));
    answer.writeHead(204).end();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const tls = () => ({ ca: pem('ca.crt'), cert: pem('client.crt'), key: pem('client.key') });
  const common = { name: 'billing', url, timeoutMs: 5_000, attemptsMax: 1 };
  const [known, unknown] = [webhookReporter({ ...common, tls }), webhookReporter(common)];
  onTestFinished(async () => {
    await Promise.all([known.close(), unknown.close()]);
    server.close();
  });
  const events = [{ event_id: 'event-1' } as UsageEvent];
  await known.deliver(events);
  expect(delivered).toEqual(['event-1']);
  await expect(unknown.deliver(events)).rejects.toThrow();
});
