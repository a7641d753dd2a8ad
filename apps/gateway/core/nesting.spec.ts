import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isDeeperThan } from './nesting.ts';

const depthOf = (value: unknown): number =>
  typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0;

test('the depth of any JSON is told, whatever its texts hold', () => {
  const brackets = fc.constantFrom('[', '{"', '\\"[', '"', '\\', ']}');
  const json = fc.jsonValue({ maxDepth: 6 }).chain((value) => fc.tuple(fc.constant(value), brackets));
  fc.assert(
    fc.property(json, ([value, text]) => {
      const written = { [text]: value, text };
      const depth = depthOf(written);
      const lines = [JSON.stringify(written), JSON.stringify(written, null, 2)];
      for (const line of lines) {
        expect(isDeeperThan(line, depth)).toBe(false);
        expect(isDeeperThan(line, depth - 1)).toBe(true);
      }
    }),
  );
});
