/** `POST /v1/responses` */
import { answerTo, type Answer, type Ask } from './answer.ts';
import { toolChoiceOf, toolOf } from './openai-chat.ts';
import {
  eventFrame,
  limitOf,
  modelOf,
  newId,
  nowSeconds,
  objects,
  piecesOf,
  Refusal,
  textIn,
  type Body,
  type Frame,
  type Reply,
} from './reply.ts';

/** @throws Refusal */
export function response(body: Body): Reply {
  const ask = askOf(body);
  const answer = answerTo(ask);
  const item = itemOf(answer);
  const whole = wholeResponse(ask.model, body, answer, item);
  return body['stream'] === true
    ? { kind: 'stream', frames: framesOf(whole, answer, item) }
    : { kind: 'json', value: whole };
}

function askOf(body: Body): Ask {
  const model = modelOf(body);
  const { input, instructions } = body;
  const items = typeof input === 'string' ? [{ role: 'user', content: input }] : objects(input);
  if (items.length === 0) throw new Refusal(400, 'input must be a text or a list of items');
  const last: Body | undefined = items.at(-1);
  const contents = items.map((item: Body) => textIn(item['content'] ?? item['output']));
  return {
    model,
    question: textIn(items.findLast(({ role }) => role === 'user')?.content),
    toolResult: last?.['type'] === 'function_call_output' ? textIn(last['output']) : undefined,
    texts: typeof instructions === 'string' ? [instructions, ...contents] : contents,
    maxTokens: limitOf(body, 'max_output_tokens'),
    tools: objects(body['tools']).flatMap((tool) => toolOf(tool)),
    toolChoice: toolChoiceOf(body['tool_choice']),
  };
}

type Item = { id: string; status: string } & Record<string, unknown>;

const textPart = (text: string): object => ({ type: 'output_text', text, annotations: [], logprobs: [] });

function itemOf(answer: Answer): Item {
  if (answer.kind === 'call') {
    const { name, arguments: text } = answer;
    const id = newId('fc_');
    return { id, type: 'function_call', status: 'completed', call_id: newId('call_'), name, arguments: text };
  }
  const status = answer.isCut ? 'incomplete' : 'completed';
  const content = [textPart(answer.tokens.join(''))];
  return { id: newId('msg_'), type: 'message', status, role: 'assistant', content };
}

// Clients' types require these fields; the demo has nothing to say in them.
const unused = {
  background: false,
  error: null,
  metadata: {},
  parallel_tool_calls: true,
  previous_response_id: null,
  temperature: 1,
  top_p: 1,
  truncation: 'disabled',
};

function wholeResponse(model: string, body: Body, answer: Answer, item: Item): object {
  const isCut = answer.kind === 'text' && answer.isCut;
  const { prompt, completion } = answer.counts;
  return {
    ...unused,
    id: newId('resp_'),
    object: 'response',
    created_at: nowSeconds(),
    status: isCut ? 'incomplete' : 'completed',
    incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
    instructions: body['instructions'] ?? null,
    max_output_tokens: body['max_output_tokens'] ?? null,
    model,
    output: [item],
    tool_choice: body['tool_choice'] ?? 'auto',
    tools: body['tools'] ?? [],
    usage: {
      input_tokens: prompt,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: completion,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: prompt + completion,
    },
  };
}

type Event = { type: string } & Record<string, unknown>;

function framesOf(whole: object, answer: Answer, item: Item): Frame[] {
  const begun = { ...whole, status: 'in_progress', incomplete_details: null, output: [], usage: null };
  const isCut = answer.kind === 'text' && answer.isCut;
  const events: Event[] = [
    { type: 'response.created', response: begun },
    { type: 'response.in_progress', response: begun },
    ...(answer.kind === 'call' ? callEvents(answer, item) : textEvents(answer, item)),
    { type: isCut ? 'response.incomplete' : 'response.completed', response: whole },
  ];
  return events.map(({ type, ...rest }, index) =>
    eventFrame({ type, sequence_number: index, ...rest } as Event, type.endsWith('.delta')),
  );
}

function textEvents({ tokens }: Extract<Answer, { kind: 'text' }>, item: Item): Event[] {
  const at = { item_id: item.id, output_index: 0, content_index: 0 };
  const text = tokens.join('');
  return [
    {
      type: 'response.output_item.added',
      output_index: 0,
      item: { ...item, status: 'in_progress', content: [] },
    },
    { type: 'response.content_part.added', ...at, part: textPart('') },
    ...tokens.map((delta) => ({ type: 'response.output_text.delta', ...at, delta, logprobs: [] })),
    { type: 'response.output_text.done', ...at, text, logprobs: [] },
    { type: 'response.content_part.done', ...at, part: textPart(text) },
    { type: 'response.output_item.done', output_index: 0, item },
  ];
}

function callEvents(call: Extract<Answer, { kind: 'call' }>, item: Item): Event[] {
  const at = { item_id: item.id, output_index: 0 };
  return [
    {
      type: 'response.output_item.added',
      output_index: 0,
      item: { ...item, status: 'in_progress', arguments: '' },
    },
    ...piecesOf(call.arguments).map((delta) => ({
      type: 'response.function_call_arguments.delta',
      ...at,
      delta,
    })),
    { type: 'response.function_call_arguments.done', ...at, name: call.name, arguments: call.arguments },
    { type: 'response.output_item.done', output_index: 0, item },
  ];
}
