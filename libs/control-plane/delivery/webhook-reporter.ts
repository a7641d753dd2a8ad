/** Usage events by HTTP: one request per event, its body the event and nothing else. */
import type { UsageEvent } from '@llmproxy/usage-queue';
import { openAgent, type AgentOptions } from '@llmproxy/client-login';
import { request, type Dispatcher } from 'undici';
import { retryAfterMs, webhookSchedule, type RetrySchedule } from './core/retry-schedule.ts';
import { DeliveryRefused, type Reporter } from './reporter.ts';
import { signWebhook } from './signature.ts';

export interface WebhookOptions extends Pick<AgentOptions, 'tls' | 'tell'> {
  name: string;
  /** `http://` or `https://`. */
  url: string;
  /** Default POST. */
  method?: 'POST' | 'PUT' | 'PATCH';
  /** For one attempt, from connecting to the last byte of the answer, in ms. */
  timeoutMs: number;
  /** Attempts in all, at least 1. */
  attemptsMax: number;
  /** Sent with each delivery; may replace `content-type`. */
  headers?: Readonly<Record<string, string>>;
  /** Signs each delivery, see `signWebhook`. */
  secret?: string | undefined;
  schedule?: RetrySchedule;
}

const connectionsMax = 16;
const answerBytesMax = 64 * 1024;

/** @throws Error when the URL is none, or the certificates cannot be read */
export function webhookReporter(options: WebhookOptions): Reporter {
  const url = new URL(options.url);
  const agent = openAgent({ connections: connectionsMax, tls: options.tls, tell: options.tell });
  return {
    name: options.name,
    unit: 'event',
    attemptsMax: Math.max(1, options.attemptsMax),
    concurrency: connectionsMax,
    schedule: options.schedule ?? webhookSchedule,
    deliver: async (events) => {
      for (const event of events) await send(event, url, agent, options);
    },
    isAway: () => false,
    close: () => agent.close(),
  };
}

async function send(
  event: UsageEvent,
  url: URL,
  dispatcher: Dispatcher,
  options: WebhookOptions,
): Promise<void> {
  const body = JSON.stringify(event);
  const {
    statusCode,
    headers,
    body: answer,
  } = await request(url, {
    dispatcher,
    method: options.method ?? 'POST',
    headers: headersFor(event, body, options),
    body,
    signal: AbortSignal.timeout(options.timeoutMs),
  });
  await answer.dump({ limit: answerBytesMax });
  if (statusCode >= 200 && statusCode < 300) return;
  const retryAfter = headers['retry-after'];
  throw new DeliveryRefused(
    `answered ${statusCode}`,
    retryAfterMs(Array.isArray(retryAfter) ? retryAfter[0] : retryAfter, Date.now()),
  );
}

function headersFor(event: UsageEvent, body: string, options: WebhookOptions): Record<string, string> {
  const configured = Object.entries(options.headers ?? {}).map(([name, value]) => [
    name.toLowerCase(),
    value,
  ]);
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    'user-agent': 'llmproxy',
    ...Object.fromEntries(configured),
    'idempotency-key': event.event_id,
  };
  if (options.secret) {
    headers['x-llmproxy-signature'] = signWebhook(options.secret, body, Math.floor(Date.now() / 1_000));
  }
  return headers;
}
