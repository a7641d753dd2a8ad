import type { RecordedRequest } from './fake-backend.ts';
import type { Gate } from './gate.ts';
import type { PlayOptions, Step } from './play.ts';

/** What the ready plays of all dialects let a test choose. */
export interface DialogueOptions extends PlayOptions {
  /** The answer, one chunk of the stream each. */
  tokens?: readonly string[];
  /** Answers with this call of a tool instead of text; `arguments` is JSON, streamed in two pieces. */
  toolCall?: { name: string; arguments: string };
  promptTokens?: number;
  completionTokens?: number;
  cachedTokens?: number;
  /** Index of a frame → what the stream waits for before it sends that frame. */
  gates?: Readonly<Record<number, Gate>>;
}

export const defaultTokens: readonly string[] = ['Hello', ' from', ' the', ' fake', ' backend', '.'];

export const countsOf = (options: DialogueOptions): { input: number; output: number; cached: number } => ({
  input: options.promptTokens ?? 9,
  output: options.completionTokens ?? (options.tokens ?? defaultTokens).length,
  cached: options.cachedTokens ?? 0,
});

/** The JSON arguments of a tool call in the two pieces in which they are streamed. */
export const inTwo = (text: string): [string, string] => {
  const half = Math.ceil(text.length / 2);
  return [text.slice(0, half), text.slice(half)];
};

/** Frames with the gates put before them. */
export function gated(frames: readonly string[], gates: DialogueOptions['gates'] = {}): Step[] {
  return frames.flatMap((text, index): Step[] => {
    const gate = gates[index];
    return gate ? [gate, text] : [text];
  });
}

export interface AskedFor {
  model: string;
  stream: boolean;
  includeUsage: boolean;
}

/** The fields of a request body that decide how an answer looks; a body that is no JSON asks for nothing. */
export function askedFor(request: RecordedRequest): AskedFor {
  const body = jsonObject(request);
  const streamOptions = (body['stream_options'] ?? {}) as Record<string, unknown>;
  return {
    model: typeof body['model'] === 'string' ? body['model'] : 'fake-model',
    stream: body['stream'] === true,
    includeUsage: streamOptions['include_usage'] === true,
  };
}

export function jsonObject(request: RecordedRequest): Record<string, unknown> {
  try {
    const body = request.json();
    return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
