import { randomUUID } from 'node:crypto';
import type { UsageEvent } from '../usage-event.ts';

/** An event for specs, unlike any other. */
export const usageEvent = (fields: Partial<UsageEvent> = {}): UsageEvent => ({
  event_id: randomUUID(),
  request_id: 'req-1',
  timestamp: '2026-02-03T04:05:06.789Z',
  key_id: null,
  api_key: null,
  user_id: null,
  model: 'llama-3',
  method: 'POST',
  path: '/v1/chat/completions',
  endpoint: 'chat.completions',
  is_stream: false,
  backend: 'gpu-1',
  backend_url: 'http://gpu-1:8000',
  status_code: 200,
  outcome: 'completed',
  latency_ms: 12,
  ttft_ms: 3,
  usage: { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 },
  usage_source: 'backend',
  ...fields,
});
