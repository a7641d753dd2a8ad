/** `POST /v1/messages`, `POST /v1/messages/count_tokens` */
import { answerTo, countTokens, type Answer, type Ask, type ToolChoice } from './answer.ts';
import {
  eventFrame,
  isObject,
  limitOf,
  modelOf,
  newId,
  objects,
  piecesOf,
  Refusal,
  textIn,
  type Body,
  type Frame,
  type Reply,
} from './reply.ts';

/** @throws Refusal */
export function message(body: Body): Reply {
  const ask = askOf(body);
  if (ask.maxTokens === undefined) throw new Refusal(400, 'max_tokens: Field required');
  const answer = answerTo(ask);
  const whole = {
    id: newId('msg_'),
    type: 'message',
    role: 'assistant',
    model: ask.model,
    content: [blockOf(answer)],
    stop_reason: stopReason(answer),
    stop_sequence: null,
    usage: usageOf(answer.counts.prompt, answer.counts.completion),
  };
  return body['stream'] === true
    ? { kind: 'stream', frames: framesOf(whole, answer) }
    : { kind: 'json', value: whole };
}

/** @throws Refusal */
export function countMessageTokens(body: Body): Reply {
  return { kind: 'json', value: { input_tokens: Math.max(1, countTokens(askOf(body).texts)) } };
}

function askOf(body: Body): Ask {
  const model = modelOf(body);
  const messages = objects(body['messages']);
  if (messages.length === 0) throw new Refusal(400, 'messages: at least one message is required');
  const results = objects(messages.at(-1)?.['content']).filter(({ type }) => type === 'tool_result');
  return {
    model,
    question: textIn(messages.findLast(({ role }) => role === 'user')?.['content']),
    toolResult: results.length > 0 ? results.map(({ content }) => textIn(content)).join(' ') : undefined,
    texts: [textIn(body['system']), ...messages.map(({ content }) => textIn(content))],
    maxTokens: limitOf(body, 'max_tokens'),
    tools: objects(body['tools']).flatMap(({ name, input_schema: schema }) =>
      typeof name === 'string' ? [{ name, parameters: isObject(schema) ? schema : {} }] : [],
    ),
    toolChoice: toolChoiceOf(body['tool_choice']),
  };
}

function toolChoiceOf(choice: unknown): ToolChoice {
  if (!isObject(choice)) return 'auto';
  const { type, name } = choice;
  if (type === 'none') return 'none';
  if (type === 'any') return 'required';
  return type === 'tool' && typeof name === 'string' ? { name } : 'auto';
}

function stopReason(answer: Answer): string {
  if (answer.kind === 'call') return 'tool_use';
  return answer.isCut ? 'max_tokens' : 'end_turn';
}

const usageOf = (input: number, output: number): object => ({
  input_tokens: input,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  output_tokens: output,
});

const blockOf = (answer: Answer): object =>
  answer.kind === 'text'
    ? { type: 'text', text: answer.tokens.join('') }
    : {
        type: 'tool_use',
        id: newId('toolu_'),
        name: answer.name,
        input: JSON.parse(answer.arguments) as unknown,
      };

function framesOf(whole: { content: object[] }, answer: Answer): Frame[] {
  const { prompt, completion } = answer.counts;
  const begun = { ...whole, content: [], stop_reason: null, usage: usageOf(prompt, 1) };
  const open = { ...whole.content[0], ...(answer.kind === 'text' ? { text: '' } : { input: {} }) };
  const deltas =
    answer.kind === 'text'
      ? answer.tokens.map((text) => ({ type: 'text_delta', text }))
      : piecesOf(answer.arguments).map((partial_json) => ({ type: 'input_json_delta', partial_json }));
  const ends = { stop_reason: stopReason(answer), stop_sequence: null };
  const event = (type: string, of: object = {}, isToken = false): Frame =>
    eventFrame({ type, ...of }, isToken);
  return [
    event('message_start', { message: begun }),
    event('content_block_start', { index: 0, content_block: open }),
    event('ping'),
    ...deltas.map((delta) => event('content_block_delta', { index: 0, delta }, true)),
    event('content_block_stop', { index: 0 }),
    event('message_delta', { delta: ends, usage: { output_tokens: completion } }),
    event('message_stop'),
  ];
}
