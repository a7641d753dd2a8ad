/** `POST /v1/completions`, `POST /v1/embeddings`, `GET /v1/models` */
import { answerTo, countTokens } from './answer.ts';
import { includesUsage, usageOf } from './openai-chat.ts';
import { dataFrame, limitOf, modelOf, newId, nowSeconds, Refusal, type Body, type Reply } from './reply.ts';

/** @throws Refusal */
export function textCompletion(body: Body): Reply {
  const model = modelOf(body);
  const prompts = Array.isArray(body['prompt']) ? body['prompt'] : [body['prompt']];
  const question = prompts.filter((prompt) => typeof prompt === 'string').join(' ');
  const answer = answerTo({
    model,
    question,
    toolResult: undefined,
    texts: [question],
    maxTokens: limitOf(body, 'max_tokens'),
    tools: [],
    toolChoice: 'none',
  });
  if (answer.kind !== 'text') throw new Refusal(500, 'a completion cannot call a tool');
  const head = { id: newId('cmpl-'), object: 'text_completion', created: nowSeconds(), model };
  const finish = answer.isCut ? 'length' : 'stop';
  const choice = (text: string, reason: string | null): object => ({
    index: 0,
    text,
    logprobs: null,
    finish_reason: reason,
  });
  if (body['stream'] !== true) {
    const choices = [choice(answer.tokens.join(''), finish)];
    return { kind: 'json', value: { ...head, choices, usage: usageOf(answer) } };
  }
  const frames = [
    ...answer.tokens.map((text) => dataFrame({ ...head, choices: [choice(text, null)] }, true)),
    dataFrame({ ...head, choices: [choice('', finish)] }),
    ...(includesUsage(body) ? [dataFrame({ ...head, choices: [], usage: usageOf(answer) })] : []),
    dataFrame('[DONE]'),
  ];
  return { kind: 'stream', frames };
}

const dimensionsDefault = 16;
const dimensionsMax = 4096;

/** Vectors of length 1 that depend on the input alone. @throws Refusal */
export function embedding(body: Body): Reply {
  const model = modelOf(body);
  const inputs = inputsOf(body['input']);
  const dimensions = Math.min(limitOf(body, 'dimensions') ?? dimensionsDefault, dimensionsMax);
  const data = inputs.map((input, index) => {
    const vector = vectorOf(input, dimensions);
    const bytes = Buffer.from(vector.buffer);
    const shown = body['encoding_format'] === 'base64' ? bytes.toString('base64') : [...vector];
    return { object: 'embedding', index, embedding: shown };
  });
  const tokens = countTokens(inputs);
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  return { kind: 'json', value: { object: 'list', data, model, usage } };
}

/** A text, a list of texts, a list of token ids, or a list of such lists, as texts. */
function inputsOf(input: unknown): string[] {
  if (typeof input === 'string') return [input];
  if (!Array.isArray(input) || input.length === 0)
    throw new Refusal(400, 'input must be a text or a list of texts');
  if (input.every((part) => typeof part === 'number')) return [input.join(' ')];
  return input.map((part: unknown) => (Array.isArray(part) ? part.join(' ') : String(part)));
}

function vectorOf(text: string, dimensions: number): Float32Array {
  let seed = 2_166_136_261; // FNV-1a of the text, then a linear congruential generator
  for (const unit of text) seed = Math.imul(seed ^ (unit.codePointAt(0) ?? 0), 16_777_619);
  const values = Array.from({ length: dimensions }, () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) | 0;
    return seed / 2 ** 31;
  });
  const length = Math.hypot(...values) || 1;
  return Float32Array.from(values, (value) => value / length);
}

const modelNames = ['demo', 'demo-embedding', 'error-400', 'error-429', 'error-500'];
const modelsCreated = 1_767_225_600;

export function models(): Reply {
  return { kind: 'json', value: { object: 'list', data: modelNames.map((id) => modelObject(id)) } };
}

/** @throws Refusal for an unknown name */
export function model(id: string): Reply {
  if (!modelNames.includes(id)) throw new Refusal(404, 'the model does not exist');
  return { kind: 'json', value: modelObject(id) };
}

const modelObject = (id: string): object => ({
  id,
  object: 'model',
  created: modelsCreated,
  owned_by: 'llmproxy-demo',
});
