import { readFileSync } from 'node:fs';

const folder = new URL('../../../test/fixtures/sse/', import.meta.url);

/**
 * The bytes of a recorded stream.
 * @param name base name of a file in `test/fixtures/sse`
 * @throws Error when there is none
 */
export function transcript(name: TranscriptName): Buffer {
  return readFileSync(new URL(`${name}.txt`, folder));
}

export type TranscriptName =
  | 'openai-chat'
  | 'openai-chat-tools'
  | 'openai-chat-vllm'
  | 'openai-chat-crlf'
  | 'openai-completions'
  | 'openai-responses'
  | 'anthropic-messages'
  | 'anthropic-tools'
  | 'odd-framing';
