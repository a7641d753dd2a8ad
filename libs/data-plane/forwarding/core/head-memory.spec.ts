import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HeadMemory } from './head-memory.ts';
import { createAnswerMemory, parseResponseStart } from './response-start.ts';

/** What a head is read as, or why it is none. */
function outcomeOf(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    return String(error);
  }
}

// Lines that begin alike, that matter for the framing, and that are no lines.
const firstLine = fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.1 200 O', 'HTTP/1.0 200 OK', 'HTTP/1.1 20', '');
const headerLine = fc.constantFrom(
  'A: b',
  'A: bc',
  'A: b\rB: c',
  'A: b\nB: c',
  'A:',
  'Content-Length: 1',
  'Content-Length: 12',
  'Transfer-Encoding: chunked',
  'Connection: close',
  'Connection: keep-alive',
  'Keep-Alive: timeout=5',
  'no colon',
  '',
);
const head = fc.tuple(firstLine, fc.array(headerLine, { maxLength: 5 }));

test('what a head is read as does not depend on the heads before it', () => {
  fc.assert(
    fc.property(fc.array(head, { minLength: 2, maxLength: 8 }), (heads) => {
      const memory = createAnswerMemory();
      for (const [first, lines] of heads) {
        const text = [first, ...lines].join('\r\n');
        const fresh = outcomeOf(() => parseResponseStart(text, 'POST'));
        expect(outcomeOf(() => parseResponseStart(text, 'POST', memory))).toEqual(fresh);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('a line is read once for as long as it stands at its place', () => {
  const read: string[] = [];
  const memory = new HeadMemory({
    first: (text) => ({ text: (read.push(text), text) }),
    header: (text) => ({ text: (read.push(text), text), name: text, value: '', noted: '' }),
  });
  memory.read('first\r\na\r\nb');
  memory.read('first\r\na\r\nb');
  expect(read).toEqual(['first', 'a', 'b']);
  expect(memory.read('first\r\na\r\nc\r\nd').headers.map(({ text }) => text)).toEqual(['a', 'c', 'd']);
  expect(memory.read('first').headers).toEqual([]);
  expect(read).toEqual(['first', 'a', 'b', 'c', 'd']);
});
