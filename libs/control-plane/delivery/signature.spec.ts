import { expect, test } from 'vitest';
import { signWebhook } from './signature.ts';

test('a signature can be checked with openssl', () => {
  // printf '1760000000.{"event_id":"e1"}' | openssl dgst -sha256 -hmac whsec_1
  expect(signWebhook('whsec_1', '{"event_id":"e1"}', 1_760_000_000)).toBe(
    't=1760000000,v1=a7d913f010cf3c9286ea5da3ba2e52bd94ba538d77b8ac195f701b240cf58825',
  );
});
