import { FakeClock } from '@llmproxy/time';
import { hashOfKey, keyIdOfHash, UnreadableKey } from '@llmproxy/key-store';
import { expect, test } from 'vitest';
import { openCachedSource, type CacheOptions } from './cached-source.ts';
import type { KeyData } from './core/key-fields.ts';
import type { AuthProblem, AuthRequest, KeySource } from './key-source.ts';

const requestOf = (secret: string): AuthRequest => {
  const secretHash = hashOfKey(secret);
  const keyId = keyIdOfHash(secretHash);
  return { secret, secretHash, keyId, ip: '203.0.113.7', method: 'POST', path: '/v1/x', rawHeaders: [] };
};
const request = requestOf('sk-test-0123456789');

/** A source that is answered by hand. */
function byHand() {
  const questions: PromiseWithResolvers<KeyData | undefined>[] = [];
  const source: KeySource = {
    lookup: () => {
      const question = Promise.withResolvers<KeyData | undefined>();
      questions.push(question);
      return question.promise;
    },
  };
  return { source, questions };
}

function open(source: KeySource, cache: Partial<CacheOptions> = {}, timeoutMs = 60_000) {
  const clock = new FakeClock();
  const problems: AuthProblem[] = [];
  const answers: string[] = [];
  const finder = openCachedSource({
    provider: 'source',
    source,
    timeoutMs,
    cache: { ttlMs: 1000, negativeTtlMs: 500, entriesMax: 10, ...cache },
    clock,
    onProblem: (problem) => problems.push(problem),
    onAnswer: (provider) => answers.push(provider),
  });
  return { finder, clock, problems, answers };
}

test('a key that was found is not asked for again before its time is over', async () => {
  const { finder, clock } = open({ lookup: () => ({ name: 'ci' }) });
  expect(finder.peek(request.keyId)).toBeUndefined();
  await finder.find(request);
  clock.advance(999);
  expect(finder.peek(request.keyId)).toMatchObject({ keyId: request.keyId, terms: { name: 'ci' } });
  clock.advance(1);
  expect(finder.peek(request.keyId)).toBeUndefined();
});

test('nor is a key that was not found, for its own time', async () => {
  const { finder, clock } = open({ lookup: () => undefined });
  expect(await finder.find(request)).toBeNull();
  clock.advance(499);
  expect(finder.peek(request.keyId)).toBeNull();
  clock.advance(1);
  expect(finder.peek(request.keyId)).toBeUndefined();
});

test('of requests that come together, one asks', async () => {
  const { source, questions } = byHand();
  const { finder } = open(source);
  const answers = [finder.find(request), finder.find(request), finder.find(request)];
  expect(questions).toHaveLength(1);
  questions[0]?.resolve({ name: 'ci' });
  expect(await Promise.all(answers)).toMatchObject(Array(3).fill({ terms: { name: 'ci' } }));
});

test('a change is seen at once', async () => {
  let name = 'before';
  const { finder } = open({ lookup: () => ({ name }) });
  await finder.find(request);
  name = 'after';
  finder.forget(request.keyId);
  expect(finder.peek(request.keyId)).toBeUndefined();
  expect(await finder.find(request)).toMatchObject({ terms: { name: 'after' } });
  name = 'later';
  finder.forgetAll();
  expect(await finder.find(request)).toMatchObject({ terms: { name: 'later' } });
});

test.each([
  ['the key', (finder: ReturnType<typeof open>['finder']) => finder.forget(request.keyId)],
  ['all', (finder: ReturnType<typeof open>['finder']) => finder.forgetAll()],
])(
  'an answer that was under way when %s was forgotten is not kept, and nobody new waits for it',
  async (_, forget) => {
    const { source, questions } = byHand();
    const { finder } = open(source);
    const early = finder.find(request);
    forget(finder);
    const late = finder.find(request);
    expect(questions).toHaveLength(2);
    questions[1]?.resolve({ status: 'disabled' });
    await late;
    questions[0]?.resolve({ status: 'active' });
    await early;
    expect(finder.peek(request.keyId)).toMatchObject({ terms: { status: 'disabled' } });
  },
);

test('a failure is not remembered', async () => {
  const { source, questions } = byHand();
  const { finder, problems } = open(source);
  const failed = finder.find(request);
  questions[0]?.reject(new Error('connection lost while asking for sk-test-0123456789'));
  await expect(failed).rejects.toThrow('source: connection lost while asking for ***');
  expect(problems).toMatchObject([
    { kind: 'source_failed', reason: 'source: connection lost while asking for ***' },
  ]);
  const next = finder.find(request);
  questions[1]?.resolve({ name: 'ci' });
  expect(await next).toMatchObject({ terms: { name: 'ci' } });
});

test('a source that does not answer in time has failed, and is told to stop', async () => {
  const stopped = Promise.withResolvers<void>();
  const silent: KeySource = {
    lookup: (_, signal) => {
      signal.addEventListener('abort', () => stopped.resolve());
      return new Promise<never>(() => undefined);
    },
  };
  const { finder } = open(silent, {}, 1);
  await expect(finder.find(request)).rejects.toThrow('source: no answer within 1 ms');
  await stopped.promise;
});

test('guessed keys never push out known ones, and no more are kept than allowed', async () => {
  const known = requestOf('sk-known');
  const { finder } = open(
    { lookup: ({ secret }) => (secret === 'sk-known' ? {} : undefined) },
    { entriesMax: 2 },
  );
  await finder.find(known);
  const guesses = ['a', 'b', 'c'].map(requestOf);
  for (const guess of guesses) await finder.find(guess);
  expect(finder.peek(known.keyId)).toMatchObject({ keyId: known.keyId });
  expect(guesses.map(({ keyId }) => finder.peek(keyId))).toEqual([undefined, null, null]);
});

test('without a cache every request is asked for on its own', async () => {
  const { source, questions } = byHand();
  const { finder } = open(source, { ttlMs: 0, negativeTtlMs: 0 });
  const answers = [finder.find(request), finder.find(request)];
  questions.forEach((question, index) => question.resolve({ name: String(index) }));
  expect(await Promise.all(answers)).toMatchObject([{ terms: { name: '0' } }, { terms: { name: '1' } }]);
  expect(finder.peek(request.keyId)).toBeUndefined();
});

test('each answer of the source is heard, and a key that is damaged is no failure of its source', async () => {
  let answer = (): KeyData | undefined => undefined;
  const { finder, problems, answers } = open({ lookup: () => answer() }, { negativeTtlMs: 0 });
  await finder.find(request);
  expect(answers).toEqual(['source']);
  answer = () => {
    throw new UnreadableKey('status: Invalid option');
  };
  await expect(finder.find(request)).rejects.toThrow('source: status: Invalid option');
  expect(answers).toEqual(['source', 'source']);
  answer = () => {
    throw new Error('connection lost');
  };
  await expect(finder.find(request)).rejects.toThrow('connection lost');
  expect(answers).toEqual(['source', 'source']);
  expect(problems.map(({ kind }) => kind)).toEqual(['key_unreadable', 'source_failed']);
});
