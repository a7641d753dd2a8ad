import { askedFor, countsOf, defaultTokens, gated, inTwo, type DialogueOptions } from './dialogue.ts';
import type { PlayFor } from './fake-backend.ts';
import { play, type PlayOptions } from './play.ts';

/** Messages: streamed when asked. The stream tells the input tokens first and the output tokens last. */
function messages(options: DialogueOptions = {}): PlayFor {
  return (request) => {
    const { model, stream } = askedFor(request);
    const whole = wholeMessage(model, options);
    if (!stream) return play.json(whole, options);
    const start = {
      ...whole,
      content: [],
      stop_reason: null,
      usage: { ...usageOf(options), output_tokens: 1 },
    };
    const frames = [
      { type: 'message_start', message: start },
      { type: 'ping' },
      { type: 'content_block_start', index: 0, content_block: openBlock(options) },
      ...deltasOf(options).map((delta) => ({ type: 'content_block_delta', index: 0, delta })),
      { type: 'content_block_stop', index: 0 },
      {
        type: 'message_delta',
        delta: { stop_reason: stopReason(options), stop_sequence: null },
        usage: { output_tokens: countsOf(options).output },
      },
      { type: 'message_stop' },
    ].map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
    return play.stream(gated(frames, options.gates), options);
  };
}

const stopReason = ({ toolCall }: DialogueOptions): string => (toolCall ? 'tool_use' : 'end_turn');

function usageOf(options: DialogueOptions): Record<string, unknown> {
  const { input, output, cached } = countsOf(options);
  return {
    input_tokens: input,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
    output_tokens: output,
    service_tier: 'standard',
  };
}

function wholeMessage(model: string, options: DialogueOptions): Record<string, unknown> {
  const { toolCall, tokens = defaultTokens } = options;
  return {
    id: 'msg_fake',
    type: 'message',
    role: 'assistant',
    model,
    content: toolCall
      ? [
          {
            type: 'tool_use',
            id: 'toolu_fake',
            name: toolCall.name,
            input: JSON.parse(toolCall.arguments) as unknown,
          },
        ]
      : [{ type: 'text', text: tokens.join('') }],
    stop_reason: stopReason(options),
    stop_sequence: null,
    usage: usageOf(options),
  };
}

const openBlock = ({ toolCall }: DialogueOptions): object =>
  toolCall
    ? { type: 'tool_use', id: 'toolu_fake', name: toolCall.name, input: {} }
    : { type: 'text', text: '' };

function deltasOf({ toolCall, tokens = defaultTokens }: DialogueOptions): object[] {
  if (!toolCall) return tokens.map((text) => ({ type: 'text_delta', text }));
  return inTwo(toolCall.arguments).map((partial_json) => ({ type: 'input_json_delta', partial_json }));
}

const errorTypes: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

/** An error as an Anthropic server words it. */
function error(
  status: number,
  message = `error ${status} of the fake backend`,
  options?: PlayOptions,
): PlayFor {
  const type = errorTypes[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
  return play.json(
    { type: 'error', error: { type, message }, request_id: 'req_fake' },
    { ...options, status },
  );
}

/** Ready plays of the Anthropic API. */
export const anthropic = { messages, error };
