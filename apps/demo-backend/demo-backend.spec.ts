import Anthropic from '@anthropic-ai/sdk';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';

let demo: ChildProcess;
let url: string;
let openai: OpenAI;
let anthropic: Anthropic;

async function startDemo(): Promise<{ child: ChildProcess; url: string }> {
  const child = fork(new URL('./main.ts', import.meta.url), ['--pace-ms', '0'], { execArgv: [] });
  const [message] = (await once(child, 'message')) as [{ ready: boolean; url: string }];
  expect(message.ready).toBe(true);
  return { child, url: message.url };
}

beforeAll(async () => {
  ({ child: demo, url } = await startDemo());
  openai = new OpenAI({ apiKey: 'any', baseURL: `${url}/v1`, maxRetries: 0 });
  anthropic = new Anthropic({ apiKey: 'any', baseURL: url, maxRetries: 0 });
});
afterAll(() => demo.kill('SIGKILL'));

const hello = [{ role: 'user' as const, content: 'Hello there' }];
const answer =
  'You said: "Hello there". This is the demo backend of LLMProxy: there is no model behind it, it repeats what it is told and counts words as tokens.';
const weather = 'What is the weather in Paris?';
const parameters = { type: 'object' as const, properties: { city: { type: 'string' } }, required: ['city'] };
const chatTools = [{ type: 'function' as const, function: { name: 'get_weather', parameters } }];

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

test('a chat answer repeats the question and counts its words', async () => {
  const { choices, usage } = await openai.chat.completions.create({ model: 'demo', messages: hello });
  expect(choices[0]).toMatchObject({
    finish_reason: 'stop',
    message: { role: 'assistant', content: answer },
  });
  expect(usage).toEqual({ prompt_tokens: 2, completion_tokens: 28, total_tokens: 30 });
});

test('a chat stream says the same, and tells usage only when asked', async () => {
  const create = { model: 'demo', messages: hello, stream: true as const };
  const plain = await all(await openai.chat.completions.create(create));
  expect(plain.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(answer);
  expect(plain.at(-1)?.choices[0]?.finish_reason).toBe('stop');
  expect(plain.some(({ usage }) => usage)).toBe(false);
  const asked = await all(
    await openai.chat.completions.create({ ...create, stream_options: { include_usage: true } }),
  );
  expect(asked.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 28 } });
});

test('max_tokens cuts the answer and says so, in each dialect', async () => {
  const chat = await openai.chat.completions.create({
    model: 'demo',
    messages: hello,
    max_completion_tokens: 3,
  });
  expect(chat.choices[0]).toMatchObject({
    finish_reason: 'length',
    message: { content: 'You said: "Hello' },
  });
  const response = await openai.responses.create({
    model: 'demo',
    input: 'Hello there',
    max_output_tokens: 3,
  });
  expect(response).toMatchObject({
    status: 'incomplete',
    incomplete_details: { reason: 'max_output_tokens' },
  });
  const message = await anthropic.messages.create({ model: 'demo', messages: hello, max_tokens: 3 });
  expect(message).toMatchObject({ stop_reason: 'max_tokens', usage: { input_tokens: 2, output_tokens: 3 } });
});

test('a question about a tool is answered by calling it, and its result by telling it', async () => {
  const messages = [{ role: 'user' as const, content: weather }];
  const asked = await openai.chat.completions.create({ model: 'demo', messages, tools: chatTools });
  const reply = asked.choices[0]?.message;
  const call = reply?.tool_calls?.[0];
  expect(asked.choices[0]?.finish_reason).toBe('tool_calls');
  expect(call).toMatchObject({
    type: 'function',
    function: { name: 'get_weather', arguments: '{"city":"Paris"}' },
  });
  const told = await openai.chat.completions.create({
    model: 'demo',
    messages: [
      ...messages,
      ...(reply ? [reply] : []),
      { role: 'tool', tool_call_id: call?.id ?? '', content: 'rain, 9 °C' },
    ],
    tools: chatTools,
  });
  expect(told.choices[0]?.message.content).toBe('The tool answered: rain, 9 °C');
});

test('tool_choice is honoured', async () => {
  const choose = (tool_choice: OpenAI.ChatCompletionToolChoiceOption, messages = hello) =>
    openai.chat.completions.create({ model: 'demo', messages, tools: chatTools, tool_choice });
  const named = { type: 'function' as const, function: { name: 'get_weather' } };
  expect((await choose('required')).choices[0]?.finish_reason).toBe('tool_calls');
  expect((await choose(named)).choices[0]?.finish_reason).toBe('tool_calls');
  expect((await choose('auto')).choices[0]?.finish_reason).toBe('stop');
  const none = await choose('none', [{ role: 'user', content: weather }]);
  expect(none.choices[0]?.finish_reason).toBe('stop');
});

test('the client libraries put a streamed tool call together', async () => {
  const chat = openai.chat.completions.stream({
    model: 'demo',
    messages: [{ role: 'user', content: weather }],
    tools: chatTools,
  });
  expect((await chat.finalChatCompletion()).choices[0]?.message.tool_calls?.[0]).toMatchObject({
    function: { name: 'get_weather', arguments: '{"city":"Paris"}' },
  });
  const message = anthropic.messages.stream({
    model: 'demo',
    max_tokens: 100,
    messages: [{ role: 'user', content: weather }],
    tools: [{ name: 'get_weather', input_schema: parameters }],
  });
  expect(await message.finalMessage()).toMatchObject({
    stop_reason: 'tool_use',
    content: [{ type: 'tool_use', name: 'get_weather', input: { city: 'Paris' } }],
  });
  const response = openai.responses.stream({
    model: 'demo',
    input: weather,
    tools: [{ type: 'function', name: 'get_weather', parameters, strict: false }],
  });
  expect((await response.finalResponse()).output[0]).toMatchObject({
    type: 'function_call',
    name: 'get_weather',
    arguments: '{"city":"Paris"}',
  });
});

test('older completions work, streamed or not', async () => {
  const whole = await openai.completions.create({ model: 'demo', prompt: 'Hello there' });
  expect(whole).toMatchObject({
    choices: [{ text: answer, finish_reason: 'stop' }],
    usage: { total_tokens: 30 },
  });
  const stream = await openai.completions.create({ model: 'demo', prompt: 'Hello there', stream: true });
  expect((await all(stream)).map(({ choices }) => choices[0]?.text ?? '').join('')).toBe(answer);
});

test('embeddings are the same for the same text, of length 1, in either encoding', async () => {
  const create = { model: 'demo-embedding', input: ['Hello there', 'other'], dimensions: 8 };
  const numbers = await openai.embeddings.create({ ...create, encoding_format: 'float' });
  const packed = await openai.embeddings.create(create); // the library asks for base64 by itself
  expect(numbers.usage).toEqual({ prompt_tokens: 3, total_tokens: 3 });
  expect(packed.data).toEqual(numbers.data);
  const vector = numbers.data[0]?.embedding ?? [];
  expect(vector).toHaveLength(8);
  expect(Math.hypot(...vector)).toBeCloseTo(1, 6);
  expect(numbers.data[1]?.embedding).not.toEqual(vector);
});

test('responses work, streamed or not', async () => {
  const whole = await openai.responses.create({
    model: 'demo',
    input: 'Hello there',
    instructions: 'Be brief.',
  });
  expect(whole.output_text).toBe(answer);
  expect(whole).toMatchObject({
    status: 'completed',
    usage: { input_tokens: 4, output_tokens: 28, total_tokens: 32 },
  });
  const stream = openai.responses.stream({
    model: 'demo',
    input: [{ role: 'user', content: 'Hello there' }],
  });
  const final = await stream.finalResponse();
  expect(final.output_text).toBe(answer);
  expect(final.usage).toMatchObject({ input_tokens: 2, output_tokens: 28 });
});

test('messages work, streamed or not, and their tokens can be counted beforehand', async () => {
  const create = { model: 'demo', system: 'Be brief.', max_tokens: 100, messages: hello };
  const whole = await anthropic.messages.create(create);
  expect(whole.content).toMatchObject([{ type: 'text', text: answer }]);
  expect(whole).toMatchObject({ stop_reason: 'end_turn', usage: { input_tokens: 4, output_tokens: 28 } });
  const streamed = await anthropic.messages.stream(create).finalMessage();
  expect(streamed.content).toMatchObject([{ type: 'text', text: answer }]);
  expect(streamed.usage).toMatchObject({ input_tokens: 4, output_tokens: 28 });
  const { model, system, messages } = create;
  expect(await anthropic.messages.countTokens({ model, system, messages })).toEqual({ input_tokens: 4 });
});

test.each([
  ['error-400', 400, 'invalid_request_error', 'invalid_request_error'],
  ['error-429', 429, 'rate_limit_error', 'rate_limit_error'],
  ['error-500', 500, 'server_error', 'api_error'],
])('the model %s fails in the dialect of the path', async (model, status, openaiType, anthropicType) => {
  await expect(openai.chat.completions.create({ model, messages: hello })).rejects.toMatchObject({
    status,
    type: openaiType,
  });
  await expect(anthropic.messages.create({ model, messages: hello, max_tokens: 1 })).rejects.toMatchObject({
    status,
    error: { type: 'error', error: { type: anthropicType } },
  });
});

test('the models are listed, and health checks succeed', async () => {
  expect((await all(await openai.models.list())).map(({ id }) => id)).toContain('demo');
  expect((await fetch(`${url}/health`)).status).toBe(200);
});

test.each([
  ['/v1/chat/completions', 'no JSON', 400],
  ['/v1/chat/completions', '[]', 400],
  ['/v1/chat/completions', '{"model":"demo","messages":[]}', 400],
  ['/v1/messages', '{"model":"demo","messages":[{"role":"user","content":"x"}]}', 400],
  ['/v1/embeddings', '{"model":"demo"}', 400],
  ['/v1/unknown', '{}', 404],
])('POST %s with the body %s is refused', async (path, body, status) => {
  const refused = await fetch(url + path, { method: 'POST', body });
  expect([refused.status, await refused.json()]).toMatchObject([
    status,
    { error: { message: expect.any(String) as string } },
  ]);
});

test.each(['SIGTERM', 'SIGINT', 'the end of its parent'])('%s ends it cleanly', async (how) => {
  const { child } = await startDemo();
  if (how === 'SIGTERM' || how === 'SIGINT') child.kill(how);
  else child.disconnect();
  expect(await once(child, 'exit')).toEqual([0, null]);
});
