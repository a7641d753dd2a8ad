import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cutAt } from './testing/json-texts.ts';
import { CHAT_EVENT, DONE_EVENT, USAGE_EVENT, events } from './testing/streams.ts';
import { UsageChunkFilter } from './usage-chunk-filter.ts';

function pass(pieces: readonly (string | Buffer)[]): string {
  const filter = new UsageChunkFilter();
  const out = pieces.flatMap((piece) => filter.push(Buffer.from(piece)));
  return Buffer.concat([...out, ...filter.end()]).toString();
}

test('only the usage chunk is taken out, and its usage is known', () => {
  const filter = new UsageChunkFilter();
  const out = filter.push(Buffer.from(CHAT_EVENT + USAGE_EVENT + DONE_EVENT));
  expect(out.map(String)).toEqual([CHAT_EVENT, DONE_EVENT]);
  expect(filter.end()).toEqual([]);
  expect(filter.result()).toEqual({
    usage: { prompt_tokens: 19, completion_tokens: 10, total_tokens: 29 },
    ended: true,
    failed: false,
  });
});

describe('bytes are forwarded at once', () => {
  test('a chunk of whole events is the same buffer', () => {
    const chunk = Buffer.from(CHAT_EVENT + CHAT_EVENT);
    expect(new UsageChunkFilter().push(chunk)[0]).toBe(chunk);
  });

  test('whole events do not wait for the incomplete one behind them', () => {
    const filter = new UsageChunkFilter();
    expect(filter.push(Buffer.from(`${CHAT_EVENT}data: {"cho`)).map(String)).toEqual([CHAT_EVENT]);
    expect(filter.push(Buffer.from('ices":[1]}\n\n')).map(String)).toEqual(['data: {"cho', 'ices":[1]}\n\n']);
  });

  test('an event that may be the usage chunk waits, in memory of its own', () => {
    const filter = new UsageChunkFilter();
    const chunk = Buffer.from('data: {"choices":[],"id":"x"');
    expect(filter.push(chunk)).toEqual([]);
    chunk.fill(0);
    expect(Buffer.concat(filter.push(Buffer.from('}\n\n'))).toString()).toBe(
      'data: {"choices":[],"id":"x"}\n\n',
    );
  });

  test('what is held comes out when the stream ends without finishing the event', () => {
    expect(pass([CHAT_EVENT, 'data: {"choices":['])).toBe(`${CHAT_EVENT}data: {"choices":[`);
  });
});

test('an event over 64 KB passes untouched, even the usage chunk, however it was cut', () => {
  const head = 'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1},"pad":"';
  const sized = (bytes: number): string => `${head}${'x'.repeat(bytes - head.length - 4)}"}\n\n`;
  const [fits, tooLong] = [sized(65_536), sized(65_537)];
  expect(fits).toHaveLength(65_536);
  for (const places of [[], [1], [70], [65_535], [65_536], [30_000, 60_000]]) {
    expect(pass(cutAt(Buffer.from(fits), places))).toBe('');
    expect(pass(cutAt(Buffer.from(tooLong + USAGE_EVENT), places))).toBe(tooLong);
  }
});

test('nothing is held of an event that is too long to wait', () => {
  const filter = new UsageChunkFilter();
  const out = ['data: "', 'x'.repeat(65_529), 'y', 'z'].map(
    (piece) => Buffer.concat(filter.push(Buffer.from(piece))).length,
  );
  expect(out).toEqual([0, 0, 65_537, 1]);
});

test('the last usage chunk is taken out even when the stream lacks its blank line', () => {
  expect(pass([CHAT_EVENT, USAGE_EVENT.trimEnd()])).toBe(CHAT_EVENT);
});

/** LF and CRLF in turns, or CR throughout: an LF right after a CR would be part of the same line end. */
const lineEnds = fc.oneof(
  fc.infiniteStream(fc.constantFrom('\n', '\r\n')),
  fc.infiniteStream(fc.constant('\r')),
);

const streams = fc.tuple(events, lineEnds, fc.boolean()).map(([all, ends, hasBom]) => {
  const texts = all.map(({ lines, isUsageChunk }) => {
    const text = [...lines, ''].map((line) => `${line}${ends.next().value as string}`).join('');
    return { text, isUsageChunk };
  });
  // A byte order mark belongs to the first event, so it would go with it.
  return { texts, bom: hasBom && texts[0]?.isUsageChunk === false ? '\ufeff' : '' };
});

test('the client gets every byte but the usage chunks, wherever the network cut the stream', () => {
  fc.assert(
    fc.property(streams, fc.array(fc.nat(), { maxLength: 12 }), ({ texts, bom }, places) => {
      const stream = Buffer.from(bom + texts.map(({ text }) => text).join(''));
      const expected = bom + texts.map(({ text, isUsageChunk }) => (isUsageChunk ? '' : text)).join('');
      expect(pass([stream])).toBe(expected);
      expect(pass(cutAt(stream, places))).toBe(expected);
      expect(pass(cutAt(stream, [...stream.keys()]))).toBe(expected);
    }),
    { numRuns: 500 },
  );
});
