import { askedFor, countsOf, defaultTokens, gated, inTwo, type DialogueOptions } from './dialogue.ts';
import type { PlayFor } from './fake-backend.ts';
import { play } from './play.ts';

type Event = { type: string } & Record<string, unknown>;

/** The responses API: streamed when asked; usage comes in `response.completed`, and there is no `[DONE]`. */
export function responses(options: DialogueOptions = {}): PlayFor {
  return (request) => {
    const { model, stream } = askedFor(request);
    const whole = wholeResponse(model, options);
    if (!stream) return play.json(whole, options);
    const begun = { ...whole, status: 'in_progress', output: [], usage: null };
    const events: Event[] = [
      { type: 'response.created', response: begun },
      { type: 'response.in_progress', response: begun },
      ...(options.toolCall ? callEvents(options.toolCall) : textEvents(options.tokens ?? defaultTokens)),
      { type: 'response.completed', response: whole },
    ];
    const frames = events.map(({ type, ...rest }, sequence) => {
      const data = JSON.stringify({ type, sequence_number: sequence, ...rest });
      return `event: ${type}\ndata: ${data}\n\n`;
    });
    return play.stream(gated(frames, options.gates), options);
  };
}

function wholeResponse(model: string, options: DialogueOptions): Record<string, unknown> {
  const { input, output, cached } = countsOf(options);
  const item = options.toolCall
    ? callItem(options.toolCall, 'completed')
    : messageItem((options.tokens ?? defaultTokens).join(''), 'completed');
  return {
    id: 'resp_fake',
    object: 'response',
    created_at: 1_767_225_600,
    status: 'completed',
    error: null,
    incomplete_details: null,
    model,
    output: [item],
    parallel_tool_calls: true,
    tool_choice: 'auto',
    tools: [],
    usage: {
      input_tokens: input,
      input_tokens_details: { cached_tokens: cached },
      output_tokens: output,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: input + output,
    },
  };
}

const textPart = (text: string): object => ({ type: 'output_text', text, annotations: [] });

const messageItem = (text: string, status: string): object => ({
  id: 'msg_fake',
  type: 'message',
  status,
  role: 'assistant',
  content: status === 'completed' ? [textPart(text)] : [],
});

const callItem = (call: { name: string; arguments: string }, status: string): object => ({
  id: 'fc_fake',
  type: 'function_call',
  status,
  call_id: 'call_fake',
  name: call.name,
  arguments: status === 'completed' ? call.arguments : '',
});

function textEvents(tokens: readonly string[]): Event[] {
  const text = tokens.join('');
  const at = { item_id: 'msg_fake', output_index: 0, content_index: 0 };
  return [
    { type: 'response.output_item.added', output_index: 0, item: messageItem('', 'in_progress') },
    { type: 'response.content_part.added', ...at, part: textPart('') },
    ...tokens.map((delta) => ({ type: 'response.output_text.delta', ...at, delta, logprobs: [] })),
    { type: 'response.output_text.done', ...at, text, logprobs: [] },
    { type: 'response.content_part.done', ...at, part: textPart(text) },
    { type: 'response.output_item.done', output_index: 0, item: messageItem(text, 'completed') },
  ];
}

function callEvents(call: { name: string; arguments: string }): Event[] {
  const at = { item_id: 'fc_fake', output_index: 0 };
  return [
    { type: 'response.output_item.added', output_index: 0, item: callItem(call, 'in_progress') },
    ...inTwo(call.arguments).map((delta) => ({
      type: 'response.function_call_arguments.delta',
      ...at,
      delta,
    })),
    { type: 'response.function_call_arguments.done', ...at, name: call.name, arguments: call.arguments },
    { type: 'response.output_item.done', output_index: 0, item: callItem(call, 'completed') },
  ];
}
