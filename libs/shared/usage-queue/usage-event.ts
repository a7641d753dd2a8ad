/** The one record of a finished request: the contract between the gateway, the worker and every reporter. */
import { z } from 'zod';

const tokens = z.int().nonnegative();

export const TokenUsage = z.strictObject({
  prompt_tokens: tokens.describe('Tokens of the prompt, cached ones included.'),
  completion_tokens: tokens.describe('Tokens the model produced, reasoning included.'),
  total_tokens: tokens.describe(
    'As the backend reported it; the sum of the other two when it reported none.',
  ),
  cached_tokens: tokens.optional().describe('Part of prompt_tokens that came out of the prompt cache.'),
  cache_write_tokens: tokens.optional().describe('Part of prompt_tokens written to the prompt cache.'),
  reasoning_tokens: tokens.optional().describe('Part of completion_tokens spent on reasoning.'),
});
export type TokenUsage = z.output<typeof TokenUsage>;

/** How the request ended, seen from the gateway. */
export const Outcome = z.enum(['completed', 'client_closed', 'truncated', 'backend_error', 'lost']);
export type Outcome = z.output<typeof Outcome>;

/** How the token counts are known: read from the backend's answer, counted by the gateway, or not at all. */
export const UsageSource = z.enum(['backend', 'counted', 'none']);
export type UsageSource = z.output<typeof UsageSource>;

export const UsageEvent = z.strictObject({
  event_id: z.string().describe('Unique per request; the idempotency key of every delivery.'),
  request_id: z.string().describe('The `x-request-id` of the exchange.'),
  timestamp: z.iso.datetime().describe('When the request finished, RFC 3339 in UTC.'),
  key_id: z
    .string()
    .nullable()
    .describe('First 128 bits of the SHA-256 of the API key, in hex; null without auth.'),
  api_key: z.string().nullable().describe('The API key, masked: first and last four characters.'),
  user_id: z.string().nullable().describe('`user_id` of the key.'),
  model: z.string().nullable().describe('`model` of the request body.'),
  method: z.string().describe('HTTP method.'),
  path: z.string().describe('Path of the request, without its query.'),
  endpoint: z.string().describe('The API the path belongs to, for example `chat.completions`.'),
  is_stream: z.boolean().describe('Whether the client asked for a stream.'),
  backend: z.string().nullable().describe('Name of the backend that answered; null when none was reached.'),
  backend_url: z.string().nullable().describe('Its base URL.'),
  status_code: z.int().describe('Status the client was sent; 499 when it left before there was one.'),
  outcome: Outcome.describe('How the request ended.'),
  latency_ms: z
    .number()
    .nonnegative()
    .describe('From the request head to the last byte of the answer, in ms.'),
  ttft_ms: z
    .number()
    .nonnegative()
    .nullable()
    .describe('From the request head to the first byte of the answer body, in ms.'),
  usage: TokenUsage.nullable().describe('Token counts; null when unknown, never invented.'),
  usage_source: UsageSource.describe('How the counts are known.'),
  request_body: z
    .unknown()
    .optional()
    .describe(
      'The request body, only with `usage.include_request_body: true`; `{"omitted":"too large","bytes":N}` in place of one that is too large for Redis or the database.',
    ),
});
export type UsageEvent = z.output<typeof UsageEvent>;
