/** The three spellings of token usage, brought to one. */
import type { TokenUsage } from '@llmproxy/usage-queue';

const COUNTS = [
  'prompt_tokens',
  'completion_tokens',
  'total_tokens',
  'input_tokens',
  'output_tokens',
  'cache_creation_input_tokens',
  'cache_read_input_tokens',
] as const;
const DETAILS = [
  'prompt_tokens_details',
  'completion_tokens_details',
  'input_tokens_details',
  'output_tokens_details',
] as const;

/** The fields of a backend's usage object that we know, as it sent them. */
export type ReportedUsage = Partial<Record<(typeof COUNTS)[number] | (typeof DETAILS)[number], unknown>>;

/**
 * Lays a later report over an earlier one, field by field: Anthropic sends the prompt first and the output last,
 * vLLM repeats a growing total. A field the later one lacks, or leaves null, keeps its value.
 */
export function mergeReports(earlier: ReportedUsage | null, later: object): ReportedUsage {
  const merged: ReportedUsage = { ...earlier };
  const fields = later as ReportedUsage;
  for (const name of COUNTS) if (isGiven(fields[name])) merged[name] = fields[name];
  for (const name of DETAILS) if (isGiven(fields[name])) merged[name] = fields[name];
  return merged;
}

/**
 * What a report says in our words, or null when it does not give both the prompt and the completion as whole
 * numbers ≥ 0. A count that was not reported is never made up; a prompt with an equal total (embeddings) is a
 * report of zero completion tokens.
 */
export function normaliseUsage(reported: ReportedUsage | null): TokenUsage | null {
  if (reported === null) return null;
  return isGiven(reported.prompt_tokens) ? fromOpenAi(reported) : fromInputOutput(reported);
}

/** OpenAI chat/completions, completions and embeddings. */
function fromOpenAi(reported: ReportedUsage): TokenUsage | null {
  const prompt = count(reported.prompt_tokens);
  const completion = isGiven(reported.completion_tokens)
    ? count(reported.completion_tokens)
    : restOf(count(reported.total_tokens), prompt);
  return tokenUsage(reported, prompt, completion, {
    cached_tokens: detail(reported.prompt_tokens_details, 'cached_tokens'),
    cache_write_tokens: detail(reported.prompt_tokens_details, 'cache_write_tokens'),
    reasoning_tokens: detail(reported.completion_tokens_details, 'reasoning_tokens'),
  });
}

/** OpenAI Responses, whose input includes the cached part; Anthropic Messages, whose input excludes both. */
function fromInputOutput(reported: ReportedUsage): TokenUsage | null {
  const cacheRead = reported.cache_read_input_tokens;
  const cacheWrite = reported.cache_creation_input_tokens;
  const prompt = sum([reported.input_tokens, cacheRead ?? 0, cacheWrite ?? 0]);
  return tokenUsage(reported, prompt, count(reported.output_tokens), {
    cached_tokens: isGiven(cacheRead)
      ? count(cacheRead)
      : detail(reported.input_tokens_details, 'cached_tokens'),
    cache_write_tokens: count(cacheWrite),
    reasoning_tokens: detail(reported.output_tokens_details, 'reasoning_tokens'),
  });
}

type Parts = Record<'cached_tokens' | 'cache_write_tokens' | 'reasoning_tokens', number | null>;

function tokenUsage(
  reported: ReportedUsage,
  prompt: number | null,
  completion: number | null,
  parts: Parts,
): TokenUsage | null {
  if (prompt === null || completion === null) return null;
  const total = count(reported.total_tokens) ?? prompt + completion;
  const usage: TokenUsage = { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total };
  if (parts.cached_tokens !== null) usage.cached_tokens = parts.cached_tokens;
  if (parts.cache_write_tokens !== null) usage.cache_write_tokens = parts.cache_write_tokens;
  if (parts.reasoning_tokens !== null) usage.reasoning_tokens = parts.reasoning_tokens;
  return usage;
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function count(value: unknown): number | null {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : null;
}

function sum(values: readonly unknown[]): number | null {
  let total: number | null = 0;
  for (const value of values) {
    const one = count(value);
    total = total === null || one === null ? null : total + one;
  }
  return total;
}

/** Zero left over is what an embeddings answer means; anything else would be a guess. */
function restOf(total: number | null, prompt: number | null): number | null {
  return total !== null && total === prompt ? 0 : null;
}

function detail(details: unknown, name: string): number | null {
  if (typeof details !== 'object' || details === null) return null;
  return count((details as Record<string, unknown>)[name]);
}
