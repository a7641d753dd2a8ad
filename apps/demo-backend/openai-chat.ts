/** `POST /v1/chat/completions` */
import { answerTo, type Answer, type Ask, type Tool, type ToolChoice } from './answer.ts';
import {
  dataFrame,
  isObject,
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
export function chatCompletion(body: Body): Reply {
  const ask = askOf(body);
  const answer = answerTo(ask);
  const head = { id: newId('chatcmpl-'), created: nowSeconds(), model: ask.model };
  if (body['stream'] === true) return { kind: 'stream', frames: framesOf(head, answer, includesUsage(body)) };
  const choice = {
    index: 0,
    message: messageOf(answer),
    logprobs: null,
    finish_reason: finishReason(answer),
  };
  return {
    kind: 'json',
    value: { ...head, object: 'chat.completion', choices: [choice], usage: usageOf(answer) },
  };
}

export const includesUsage = ({ stream_options: options }: Body): boolean =>
  isObject(options) && options['include_usage'] === true;

export function usageOf({ counts }: Pick<Answer, 'counts'>): object {
  const { prompt, completion } = counts;
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

function askOf(body: Body): Ask {
  const model = modelOf(body);
  const messages = objects(body['messages']);
  if (messages.length === 0) throw new Refusal(400, 'messages must be a list of at least one message');
  const last = messages.at(-1);
  return {
    model,
    question: textIn(messages.findLast(({ role }) => role === 'user')?.['content']),
    toolResult: last?.['role'] === 'tool' ? textIn(last['content']) : undefined,
    texts: messages.map(({ content }) => textIn(content)),
    maxTokens: limitOf(body, 'max_completion_tokens', 'max_tokens'),
    tools: objects(body['tools']).flatMap(({ function: definition }) => toolOf(definition)),
    toolChoice: toolChoiceOf(body['tool_choice']),
  };
}

/** A tool as both OpenAI dialects define it; a list, so that anything else adds none. */
export function toolOf(definition: unknown): Tool[] {
  if (!isObject(definition) || typeof definition['name'] !== 'string') return [];
  const { name, parameters } = definition;
  return [{ name, parameters: isObject(parameters) ? parameters : {} }];
}

/** Reads `"auto"`, `"none"`, `"required"` and `{"type":"function","function":{"name":…}}`, with or without the inner object. */
export function toolChoiceOf(choice: unknown): ToolChoice {
  if (choice === 'none' || choice === 'required') return choice;
  if (!isObject(choice)) return 'auto';
  const { name } = isObject(choice['function']) ? choice['function'] : choice;
  return typeof name === 'string' ? { name } : 'auto';
}

function finishReason(answer: Answer): string {
  if (answer.kind === 'call') return 'tool_calls';
  return answer.isCut ? 'length' : 'stop';
}

function messageOf(answer: Answer): object {
  if (answer.kind === 'text') return { role: 'assistant', content: answer.tokens.join(''), refusal: null };
  const { name, arguments: text } = answer;
  const call = { id: newId('call_'), type: 'function', function: { name, arguments: text } };
  return { role: 'assistant', content: null, refusal: null, tool_calls: [call] };
}

function framesOf(head: object, answer: Answer, withUsage: boolean): Frame[] {
  const chunk = { ...head, object: 'chat.completion.chunk' };
  const delta = (of: object, finish: string | null = null, isToken = false): Frame =>
    dataFrame(
      { ...chunk, choices: [{ index: 0, delta: of, logprobs: null, finish_reason: finish }] },
      isToken,
    );
  return [
    delta({ role: 'assistant', content: answer.kind === 'text' ? '' : null }),
    ...deltasOf(answer).map((of) => delta(of, null, true)),
    delta({}, finishReason(answer)),
    ...(withUsage ? [dataFrame({ ...chunk, choices: [], usage: usageOf(answer) })] : []),
    dataFrame('[DONE]'),
  ];
}

function deltasOf(answer: Answer): object[] {
  if (answer.kind === 'text') return answer.tokens.map((content) => ({ content }));
  const call = (of: object): object => ({ tool_calls: [{ index: 0, ...of }] });
  return [
    call({ id: newId('call_'), type: 'function', function: { name: answer.name, arguments: '' } }),
    ...piecesOf(answer.arguments).map((text) => call({ function: { arguments: text } })),
  ];
}
