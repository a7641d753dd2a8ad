/** What the specs of this library deliver, to whom and through which Redis. */
import { bullPrefix, closeRedis, connectRedis, type RedisTarget } from '@llmproxy/redis';
import { deliveryQueueName, type UsageEvent } from '@llmproxy/usage-queue';
import { usageEvent as eventWith } from '@llmproxy/usage-queue/testing';
import { Queue } from 'bullmq';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import {
  openDeadLetters,
  openDelivery,
  webhookReporter,
  type Reporter,
  type WebhookOptions,
} from './index.ts';

export const patient = { timeout: 25_000 };
export const soon = { firstMs: 10, capMs: 50 };

export const usageEvent = (): UsageEvent => eventWith({ usage: null, usage_source: 'none' });

export async function freshRedis(
  forTests: () => Promise<RedisTarget & AsyncDisposable>,
): Promise<RedisTarget> {
  const redis = await forTests();
  onTestFinished(() => redis[Symbol.asyncDispose]());
  return redis;
}

/** To the queue of the reporter that `webhook` makes. */
export function connect(redis: RedisTarget) {
  const connection = connectRedis({ ...redis, connectionName: 'spec', whenDown: 'queue' });
  const queue = new Queue<UsageEvent[]>(deliveryQueueName('billing'), { connection, prefix: bullPrefix });
  onTestFinished(async () => {
    await queue.close();
    await closeRedis(connection);
  });
  return { connection, queue };
}

interface Received {
  method: string | undefined;
  path: string | undefined;
  headers: IncomingHttpHeaders;
  body: string;
}

type Status = number | ((idempotencyKey: string) => number);

/** An HTTP server that answers with `status`, 0 for not at all, and remembers what it was sent. */
export async function receiver(status: Status = 204) {
  const received: Received[] = [];
  const state = { status, received, url: '' };
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      received.push({ method: request.method, path: request.url, headers: request.headers, body });
      const { status: now } = state;
      const answer = typeof now === 'number' ? now : now(String(request.headers['idempotency-key']));
      if (answer !== 0) response.writeHead(answer).end();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/usage?from=gw`;
  return state;
}

export const webhook = (url: string, options: Partial<WebhookOptions> = {}): Reporter =>
  webhookReporter({ name: 'billing', url, timeoutMs: 5_000, attemptsMax: 3, schedule: soon, ...options });

export function deliver(redis: RedisTarget, reporters: Reporter[]) {
  const told: string[] = [];
  const outcomes: Record<string, number> = {};
  const withoutData: string[] = [];
  const tell = (fields: object, message: string) => void told.push(`${message} ${JSON.stringify(fields)}`);
  const delivery = openDelivery({
    redis,
    reporters,
    log: { info: tell, warn: tell, error: tell },
    onJobWithoutData: (queue) => withoutData.push(queue),
    onOutcome: (reporter, outcome, events) => {
      outcomes[`${reporter} ${outcome}`] = (outcomes[`${reporter} ${outcome}`] ?? 0) + events;
    },
  });
  onTestFinished(() => delivery.close(2_000));
  return { ...delivery, told, outcomes, withoutData };
}

export function deadLettersOf(redis: RedisTarget) {
  const letters = openDeadLetters({ redis });
  onTestFinished(() => letters.close());
  return letters;
}
