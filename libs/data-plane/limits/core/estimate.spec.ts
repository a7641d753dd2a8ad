import { expect, test } from 'vitest';
import { estimateTokens } from './estimate.ts';

test.each([
  [0, undefined, 0, 0],
  [1, undefined, 0, 1],
  [4000, 256, 1024, 1256],
  [4001, undefined, 1024, 2025],
  [8, 0, 1024, 2],
  [8, -5, 1024, 1026],
  [8, 1e300, 0, 1e12 + 2],
])('%i bytes, max_tokens %s, default %i: %i tokens are reserved', (bytes, asked, otherwise, expected) => {
  expect(estimateTokens(bytes, asked, otherwise)).toBe(expected);
});
