import fc from 'fast-check';
import { expect, test } from 'vitest';
import { usageEvent } from '../spec-usage-event.ts';
import { inParts, rowBytes } from './statement-parts.ts';
import { usageRow } from './usage-row.ts';

test('parts hold all rows in their order, within both bounds unless a row alone is beyond', () => {
  const sizes = fc.array(fc.nat(50), { maxLength: 40 });
  fc.assert(
    fc.property(
      sizes,
      fc.integer({ min: 1, max: 10 }),
      fc.integer({ min: 1, max: 100 }),
      (all, rowsMax, bytesMax) => {
        const rows = all.map((bytes, at) => ({ bytes, at }));
        const parts = [...inParts(rows, { rowsMax, bytesMax })];
        expect(parts.flat()).toEqual(rows);
        for (const part of parts) {
          const bytes = part.reduce((sum, row) => sum + row.bytes, 0);
          expect(part.length).toBeGreaterThan(0);
          expect(part.length).toBeLessThanOrEqual(rowsMax);
          expect(bytes <= bytesMax || part.length === 1).toBe(true);
        }
      },
    ),
  );
});

test('a row counts its texts in bytes, not in characters', () => {
  const bytesOf = (model: string) => rowBytes(usageRow(usageEvent({ model })));
  expect(bytesOf('日本😀') - bytesOf('')).toBe(10);
});
