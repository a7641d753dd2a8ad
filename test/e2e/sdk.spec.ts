/** The official SDKs and curl against what `llmproxy start` starts; and what it leaves behind when it is stopped. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  answer,
  asksForWeather,
  claudeTools,
  messages,
  openaiTools,
  question,
} from './harness/demo-dialogue.ts';
import { startEverything, type Started } from './harness/started.ts';
import { tempFolder } from './harness/temp-folder.ts';
import { until } from './harness/until.ts';
import { usageRows } from './harness/usage-events.ts';

const resources = new AsyncDisposableStack();
let folder: string;
let started: Started;
let openai: OpenAI;
let claude: Anthropic;

beforeAll(async () => {
  folder = resources.use(tempFolder()).path;
  started = resources.use(await startEverything(folder));
  openai = new OpenAI({ baseURL: `${started.address}/v1`, apiKey: started.key, maxRetries: 0 });
  claude = new Anthropic({ baseURL: started.address, apiKey: started.key, maxRetries: 0 });
});
afterAll(() => resources.disposeAsync());

/** One line per usage row that there must be by the end. */
const expectedRows: string[] = [];
const rowIsDue = (endpoint: string, model: string, rest: string): void =>
  void expectedRows.push(`${endpoint} ${model}: ${rest}`);

const rows = () => usageRows(`${folder}/data/llmproxy.db`);
const rowLines = (): string[] =>
  rows().map((row) => {
    const kind = row.is_stream ? 'stream' : 'whole';
    const tokens = `${row.prompt_tokens}+${row.completion_tokens}=${row.total_tokens} ${row.usage_source}`;
    return `${row.endpoint} ${row.model}: ${kind} ${row.status_code} ${row.outcome} ${tokens}`;
  });

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.catch((failure: unknown) => failure);

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

test('openai: a chat completion, with its request id', async () => {
  const completion = await openai.chat.completions.create({ model: 'chat', messages });
  expect(completion.choices[0]?.message.content).toBe(answer);
  expect(completion.usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 28, total_tokens: 30 });
  expect(completion._request_id).toMatch(/^[0-9a-f-]{36}$/);
  rowIsDue('chat.completions', 'chat', 'whole 200 completed 2+28=30 backend');
});

test('openai: a streamed chat completion shows no usage that was not asked for, and is metered', async () => {
  const chunks = await all(
    await openai.chat.completions.create({ model: 'streamed', messages, stream: true }),
  );
  expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe(answer);
  expect(chunks.filter((chunk) => chunk.usage || chunk.choices.length === 0)).toEqual([]);
  rowIsDue('chat.completions', 'streamed', 'stream 200 completed 2+28=30 backend');
});

test('openai: a stream that asks for usage gets it in its last chunk', async () => {
  const stream_options = { include_usage: true };
  const body = { model: 'asking', messages, stream: true as const, stream_options };
  const chunks = await all(await openai.chat.completions.create(body));
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 2, completion_tokens: 28 } });
  rowIsDue('chat.completions', 'asking', 'stream 200 completed 2+28=30 backend');
});

test('openai: tools are called, and their results taken', async () => {
  const called = await openai.chat.completions.create({
    model: 'tool',
    messages: asksForWeather,
    tools: openaiTools,
  });
  const message = called.choices[0]?.message;
  const call = message?.tool_calls?.[0];
  if (!message || call?.type !== 'function') throw new Error(`no call of a tool: ${JSON.stringify(called)}`);
  expect(call.function).toEqual({ name: 'get_weather', arguments: '{"city":"Paris"}' });
  rowIsDue('chat.completions', 'tool', 'whole 200 completed 6+2=8 backend');

  const result = { role: 'tool' as const, tool_call_id: call.id, content: 'sunny' };
  const told = await openai.chat.completions.create({
    model: 'tool-result',
    messages: [...asksForWeather, message, result],
    tools: openaiTools,
  });
  expect(told.choices[0]?.message.content).toBe('The tool answered: sunny');
  rowIsDue('chat.completions', 'tool-result', 'whole 200 completed 7+4=11 backend');
});

test('openai: a call of a tool is put together from a stream', async () => {
  const body = { model: 'tool-stream', messages: asksForWeather, tools: openaiTools };
  const completion = await openai.chat.completions.stream(body).finalChatCompletion();
  expect(completion.choices[0]?.message.tool_calls?.[0]).toMatchObject({
    type: 'function',
    function: { name: 'get_weather', arguments: '{"city":"Paris"}' },
  });
  rowIsDue('chat.completions', 'tool-stream', 'stream 200 completed 6+2=8 backend');
});

test('openai: completions, whole and streamed', async () => {
  const whole = await openai.completions.create({ model: 'completion', prompt: question });
  expect(whole.choices[0]?.text).toBe(answer);
  rowIsDue('completions', 'completion', 'whole 200 completed 2+28=30 backend');
  const body = { model: 'completion-stream', prompt: question, stream: true as const };
  const chunks = await all(await openai.completions.create(body));
  expect(chunks.map((chunk) => chunk.choices[0]?.text).join('')).toBe(answer);
  expect(chunks.filter((chunk) => chunk.usage || chunk.choices.length === 0)).toEqual([]);
  rowIsDue('completions', 'completion-stream', 'stream 200 completed 2+28=30 backend');
});

test('openai: embeddings', async () => {
  const { data, usage } = await openai.embeddings.create({
    model: 'embedding',
    input: [question, 'x'],
    dimensions: 8,
  });
  expect(data.map(({ embedding }) => embedding.length)).toEqual([8, 8]);
  expect(usage.prompt_tokens).toBe(3);
  rowIsDue('embeddings', 'embedding', 'whole 200 completed 3+0=3 backend');
});

test('openai: responses, whole and streamed', async () => {
  const whole = await openai.responses.create({ model: 'response', input: question });
  expect(whole.output_text).toBe(answer);
  rowIsDue('responses', 'response', 'whole 200 completed 2+28=30 backend');
  const final = await openai.responses.stream({ model: 'response-stream', input: question }).finalResponse();
  expect(final.output_text).toBe(answer);
  expect(final.usage).toMatchObject({ input_tokens: 2, output_tokens: 28 });
  rowIsDue('responses', 'response-stream', 'stream 200 completed 2+28=30 backend');
});

test('openai: models, listed and one by one', async () => {
  const list = await openai.models.list();
  expect(list.data.map(({ id }) => id)).toContain('demo');
  expect(await openai.models.retrieve('demo')).toMatchObject({ id: 'demo', object: 'model' });
  await expect(openai.models.retrieve('none')).rejects.toBeInstanceOf(OpenAI.NotFoundError);
});

test('openai: an unknown key is an AuthenticationError with a request id', async () => {
  const stranger = new OpenAI({ baseURL: `${started.address}/v1`, apiKey: 'sk-stranger', maxRetries: 0 });
  const failure = await failureOf(stranger.chat.completions.create({ model: 'm', messages }));
  expect(failure).toBeInstanceOf(OpenAI.AuthenticationError);
  expect(failure).toMatchObject({
    status: 401,
    code: 'invalid_api_key',
    requestID: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
  });
});

test.each([
  [400, OpenAI.BadRequestError, 'invalid_request_error', null],
  [429, OpenAI.RateLimitError, 'rate_limit_error', 'rate_limit_exceeded'],
  [500, OpenAI.InternalServerError, 'server_error', null],
])('openai: status %i of the backend is passed on as it is', async (status, kind, type, code) => {
  for (const stream of [false, true]) {
    const model = `error-${status}`;
    const failure = await failureOf(openai.chat.completions.create({ model, messages, stream }));
    expect(failure).toBeInstanceOf(kind);
    const message = `${status} the demo backend fails on request: ${model}`;
    expect(failure).toMatchObject({ status, type, code, message, requestID: expect.any(String) as string });
    const outcome = status >= 500 ? 'backend_error' : 'completed';
    rowIsDue(
      'chat.completions',
      model,
      `${stream ? 'stream' : 'whole'} ${status} ${outcome} null+null=null none`,
    );
  }
});

test('openai: a stream that its client aborts is recorded as left', async () => {
  const stream = await openai.chat.completions.create({ model: 'aborted', messages, stream: true });
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
  expect(stream.controller.signal.aborted).toBe(true);
  rowIsDue('chat.completions', 'aborted', 'stream 200 client_closed null+null=null none');
});

test('anthropic: a message, whole and streamed', async () => {
  const whole = await claude.messages.create({ model: 'message', max_tokens: 100, messages });
  expect(whole.content).toMatchObject([{ type: 'text', text: answer }]);
  expect(whole.usage).toMatchObject({ input_tokens: 2, output_tokens: 28 });
  rowIsDue('messages', 'message', 'whole 200 completed 2+28=30 backend');
  const stream = claude.messages.stream({ model: 'message-stream', max_tokens: 100, messages });
  expect(await stream.finalText()).toBe(answer);
  expect((await stream.finalMessage()).usage).toMatchObject({ input_tokens: 2, output_tokens: 28 });
  rowIsDue('messages', 'message-stream', 'stream 200 completed 2+28=30 backend');
});

test('anthropic: tools, whole and streamed', async () => {
  const body = { max_tokens: 100, messages: asksForWeather, tools: claudeTools };
  const use = { type: 'tool_use', name: 'get_weather', input: { city: 'Paris' } };
  const whole = await claude.messages.create({ ...body, model: 'use' });
  expect(whole).toMatchObject({ stop_reason: 'tool_use', content: [use] });
  rowIsDue('messages', 'use', 'whole 200 completed 6+2=8 backend');
  const streamed = await claude.messages.stream({ ...body, model: 'use-stream' }).finalMessage();
  expect(streamed).toMatchObject({ stop_reason: 'tool_use', content: [use] });
  rowIsDue('messages', 'use-stream', 'stream 200 completed 6+2=8 backend');
});

test('anthropic: tokens are counted, and a bearer token is a key as well', async () => {
  const bearer = new Anthropic({
    baseURL: started.address,
    authToken: started.key,
    apiKey: null,
    maxRetries: 0,
  });
  expect(await bearer.messages.countTokens({ model: 'count', messages })).toEqual({ input_tokens: 2 });
  rowIsDue('other', 'null', 'whole 200 completed null+null=null none');
});

test('anthropic: an unknown key is an AuthenticationError with a request id', async () => {
  const stranger = new Anthropic({ baseURL: started.address, apiKey: 'sk-stranger', maxRetries: 0 });
  const failure = await failureOf(stranger.messages.create({ model: 'm', max_tokens: 1, messages }));
  expect(failure).toBeInstanceOf(Anthropic.AuthenticationError);
  expect(failure).toMatchObject({
    status: 401,
    requestID: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
    error: { type: 'error', error: { type: 'authentication_error' } },
  });
});

test.each([
  [400, Anthropic.BadRequestError, 'invalid_request_error'],
  [429, Anthropic.RateLimitError, 'rate_limit_error'],
  [500, Anthropic.InternalServerError, 'api_error'],
  [529, Anthropic.InternalServerError, 'overloaded_error'],
])('anthropic: status %i of the backend is passed on as it is', async (status, kind, type) => {
  const model = `error-${status}`;
  const failure = await failureOf(claude.messages.create({ model, max_tokens: 1, messages }));
  expect(failure).toBeInstanceOf(kind);
  const message = `the demo backend fails on request: ${model}`;
  expect(failure).toMatchObject({ status, error: { type: 'error', error: { type, message } } });
  const outcome = status >= 500 ? 'backend_error' : 'completed';
  rowIsDue('messages', model, `whole ${status} ${outcome} null+null=null none`);
});

test('anthropic: a stream that its client aborts is recorded as left, with the input that was counted', async () => {
  const stream = await claude.messages.create({ model: 'left', max_tokens: 100, messages, stream: true });
  for await (const event of stream) if (event.type === 'content_block_delta') break;
  expect(stream.controller.signal.aborted).toBe(true);
  rowIsDue('messages', 'left', 'stream 200 client_closed 2+1=3 backend');
});

test('the printed curl line works when pasted into a shell, streamed and not', async () => {
  const paste = async (line: string) => (await promisify(execFile)('sh', ['-c', line])).stdout;
  expect(JSON.parse(await paste(started.curlLine))).toMatchObject({ choices: [{ finish_reason: 'stop' }] });
  rowIsDue('chat.completions', 'demo', 'whole 200 completed 1+27=28 backend');
  const streamed = await paste(started.curlLine.replace('{"model"', '{"stream":true,"model"'));
  expect(streamed).toMatch(/^data: \{.*data: \[DONE\]\n\n$/s);
  rowIsDue('chat.completions', 'demo', 'stream 200 completed 1+27=28 backend');
});

test('each request has exactly one row, with the tokens that were used', async () => {
  await until('all rows are there', () => rows().length >= expectedRows.length);
  expect(rowLines().sort()).toEqual(expectedRows.sort());
  expect(new Set(rows().map(({ request_id }) => request_id)).size).toBe(expectedRows.length);
  for (const row of rows())
    expect(row).toMatchObject({
      user_id: 'demo-user',
      api_key: expect.stringMatching(/^sk-l\*\*\*.{4}$/) as string,
    });
});

test('Ctrl-C stops every child with exit code 0; key and rows are there after the next start', async () => {
  const pids = started.tree();
  expect(pids.length).toBeGreaterThan(6); // two of the CLI, Redis, worker, scheduler, demo backend, gateway and its workers
  started.killGroup('SIGINT');
  expect(await started.exited).toEqual({ code: 0, signal: null });
  expect(pids.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);

  const { key } = started;
  started = resources.use(await startEverything(folder));
  expect(started.key).toBe(key);
  const again = new OpenAI({ baseURL: `${started.address}/v1`, apiKey: key, maxRetries: 0 });
  await again.chat.completions.create({ model: 'again', messages });
  rowIsDue('chat.completions', 'again', 'whole 200 completed 2+28=30 backend');
  await until('the row of the second run', () => rows().length >= expectedRows.length);
  expect(rowLines().sort()).toEqual(expectedRows.sort());

  const secondPids = started.tree();
  started.kill('SIGINT'); // to the one process that was started, as a supervisor would
  expect(await started.exited).toEqual({ code: 0, signal: null });
  expect(secondPids.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
}, 120_000);
