import { createHmac } from 'node:crypto';

/**
 * The value of `x-llmproxy-signature`: `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`. The receiver computes the
 * same over the bytes it got, and refuses a `t` too far from its own clock so that a delivery cannot be replayed.
 */
export function signWebhook(secret: string, body: string, unixSeconds: number): string {
  const digest = createHmac('sha256', secret).update(`${unixSeconds}.${body}`).digest('hex');
  return `t=${unixSeconds},v1=${digest}`;
}
