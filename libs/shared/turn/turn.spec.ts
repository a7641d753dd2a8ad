import { PassThrough, Writable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { corkForTurn, inTurn, turnEnded } from './index.ts';

test('stages run in their order, and tasks of a stage in theirs', async () => {
  const seen: string[] = [];
  for (const stage of ['record', 'write', 'read'] as const) {
    for (const which of ['first', 'second']) inTurn(stage, () => void seen.push(`${stage} ${which}`));
  }
  expect(seen).toEqual([]);
  await turnEnded();
  expect(seen).toEqual([
    'read first',
    'read second',
    'write first',
    'write second',
    'record first',
    'record second',
  ]);
});

test('what a stage makes of promises, and hands over itself, belongs to the same turn', async () => {
  const seen: string[] = [];
  const ended = turnEnded().then(() => seen.push('ended'));
  inTurn('read', () => {
    void Promise.resolve()
      .then(() => Promise.resolve())
      .then(() => {
        seen.push('promised');
        inTurn('write', () => seen.push('written'));
      });
    inTurn('read', () => seen.push('read'));
  });
  await ended;
  expect(seen).toEqual(['read', 'promised', 'written', 'ended']);
});

test('what is handed over to a stage that has passed runs in the next turn', async () => {
  const seen: string[] = [];
  inTurn('record', () => inTurn('read', () => seen.push('late')));
  await turnEnded();
  expect(seen).toEqual([]);
  await turnEnded();
  expect(seen).toEqual(['late']);
});

test('of many readers the first get their answers before the last are begun, and none is forgotten', async () => {
  const seen: string[] = [];
  for (let i = 0; i < 1_000; i++) {
    inTurn('read', () => {
      seen.push('read');
      inTurn('write', () => seen.push('write'));
    });
  }
  await expect.poll(() => seen.length).toBe(2_000);
  expect(seen.indexOf('write')).toBe(64);
  expect(seen.filter((what) => what === 'read').length).toBe(1_000);
});

test('a task that throws is an uncaught exception, and the others run', async () => {
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  onTestFinished(() => {
    process.removeAllListeners('uncaughtException');
    for (const listener of others) process.on('uncaughtException', listener);
  });
  const uncaught: unknown[] = [];
  process.on('uncaughtException', (error) => uncaught.push(error));
  const bug = new Error('a bug');
  let later = false;
  inTurn('write', () => {
    throw bug;
  });
  inTurn('write', () => (later = true));
  await turnEnded();
  expect(later).toBe(true);
  expect(uncaught).toEqual([bug]);
});

test('what is written to a corked stream leaves together, at the end of the turn', async () => {
  const arrived: string[][] = [];
  const stream = new Writable({
    decodeStrings: false,
    writev: (chunks, done) => {
      arrived.push(chunks.map(({ chunk }) => chunk as string));
      done();
    },
  });
  for (const word of ['a', 'b', 'c']) {
    corkForTurn(stream);
    stream.write(word);
  }
  expect(arrived).toEqual([]);
  await turnEnded();
  expect(arrived).toEqual([['a', 'b', 'c']]);
  expect(stream.writableCorked).toBe(0);
});

test('a stream that ends or is destroyed while corked does so as if it were not', async () => {
  const ending = new PassThrough();
  corkForTurn(ending);
  ending.write('all of it');
  ending.end();
  const chunks = await ending.toArray();
  expect(Buffer.concat(chunks).toString()).toBe('all of it');
  const destroyed = new PassThrough();
  corkForTurn(destroyed);
  destroyed.write('nobody sees it');
  destroyed.destroy();
  await turnEnded();
  expect(destroyed.destroyed).toBe(true);
});
