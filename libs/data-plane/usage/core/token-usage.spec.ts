import { expect, test } from 'vitest';
import { mergeReports, normaliseUsage } from './token-usage.ts';

test.each([
  [
    'OpenAI chat',
    {
      prompt_tokens: 19,
      completion_tokens: 10,
      total_tokens: 29,
      prompt_tokens_details: { cached_tokens: 8, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 4 },
    },
    { prompt_tokens: 19, completion_tokens: 10, total_tokens: 29, cached_tokens: 8, reasoning_tokens: 4 },
  ],
  [
    'vLLM without details',
    { prompt_tokens: 5, total_tokens: 12, completion_tokens: 7, prompt_tokens_details: null },
    { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 },
  ],
  [
    'a total that is more than the sum stays as reported',
    { prompt_tokens: 5, completion_tokens: 7, total_tokens: 20 },
    { prompt_tokens: 5, completion_tokens: 7, total_tokens: 20 },
  ],
  [
    'no total: the sum',
    { prompt_tokens: 5, completion_tokens: 7 },
    { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 },
  ],
  [
    'embeddings have no completion',
    { prompt_tokens: 8, total_tokens: 8 },
    { prompt_tokens: 8, completion_tokens: 0, total_tokens: 8 },
  ],
  [
    'Responses: the input includes the cached part',
    {
      input_tokens: 100,
      input_tokens_details: { cached_tokens: 60 },
      output_tokens: 20,
      output_tokens_details: { reasoning_tokens: 12 },
      total_tokens: 120,
    },
    { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120, cached_tokens: 60, reasoning_tokens: 12 },
  ],
  [
    'Anthropic: the input excludes both cached parts',
    { input_tokens: 10, cache_creation_input_tokens: 200, cache_read_input_tokens: 3000, output_tokens: 5 },
    {
      prompt_tokens: 3210,
      completion_tokens: 5,
      total_tokens: 3215,
      cached_tokens: 3000,
      cache_write_tokens: 200,
    },
  ],
  [
    'Anthropic without a cache',
    { input_tokens: 10, output_tokens: 5, service_tier: 'standard' },
    { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
  ],
  [
    'OpenRouter tells what it wrote to the cache',
    { prompt_tokens: 9, completion_tokens: 1, prompt_tokens_details: { cache_write_tokens: 4 } },
    { prompt_tokens: 9, completion_tokens: 1, total_tokens: 10, cache_write_tokens: 4 },
  ],
  [
    'an invalid detail is left out',
    {
      prompt_tokens: 9,
      completion_tokens: 1,
      prompt_tokens_details: { cached_tokens: -1 },
      completion_tokens_details: 'x',
    },
    { prompt_tokens: 9, completion_tokens: 1, total_tokens: 10 },
  ],
])('%s', (_, reported, expected) => {
  expect(normaliseUsage(reported)).toEqual(expected);
});

test.each([
  ['nothing', {}],
  ['a prompt alone', { prompt_tokens: 5 }],
  ['a total alone', { total_tokens: 5 }],
  ['a total that leaves an unknown rest', { prompt_tokens: 5, total_tokens: 9 }],
  ['an output alone', { output_tokens: 5 }],
  ['a negative count', { prompt_tokens: -1, completion_tokens: 2 }],
  ['a fraction', { prompt_tokens: 1.5, completion_tokens: 2 }],
  ['a string', { prompt_tokens: '5', completion_tokens: 2 }],
  ['a number no double holds exactly', { prompt_tokens: 1e300, completion_tokens: 2 }],
  [
    'an invalid cached part, which the prompt would need',
    { input_tokens: 5, cache_read_input_tokens: 0.5, output_tokens: 1 },
  ],
])('tokens are never invented: %s', (_, reported) => {
  expect(normaliseUsage(reported)).toBeNull();
});

test('a later report replaces what it gives and keeps the rest', () => {
  const started = mergeReports(null, { input_tokens: 25, cache_read_input_tokens: 7, output_tokens: 1 });
  const ended = mergeReports(started, { output_tokens: 15, cache_read_input_tokens: null, other: 1 });
  expect(ended).toEqual({ input_tokens: 25, cache_read_input_tokens: 7, output_tokens: 15 });
});
