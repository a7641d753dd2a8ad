/** What the specs of all engines write, and where. */
import type { UsageEvent } from '@llmproxy/usage-queue';
import { usageEvent as eventWith } from '@llmproxy/usage-queue/testing';
import { randomUUID } from 'node:crypto';

export const usageEvent = (fields: Partial<UsageEvent> = {}): UsageEvent =>
  eventWith({
    key_id: 'k1',
    api_key: 'sk-a…wxyz',
    user_id: 'ann',
    is_stream: true,
    ttft_ms: 3.25,
    ...fields,
  });

export const freshTable = () => `usage_${randomUUID().replaceAll('-', '')}`;
