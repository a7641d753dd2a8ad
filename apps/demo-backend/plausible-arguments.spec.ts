import { expect, test } from 'vitest';
import { plausibleArguments } from './plausible-arguments.ts';

const recursive: { type: string; items?: unknown } = { type: 'array' };
recursive.items = recursive;

test.each([
  [{ city: { type: 'string' } }, 'What is the weather in San Francisco?', { city: 'San Francisco' }],
  [{ city: { type: 'string' } }, 'weather?', { city: 'Berlin' }],
  [{ unit: { enum: ['c', 'f'] }, days: { type: 'integer' } }, '', { unit: 'c', days: 1 }],
  [
    { hourly: { type: ['boolean', 'null'] }, tags: { type: 'array', items: { type: 'null' } } },
    '',
    { hourly: true, tags: [null] },
  ],
  [{ at: { type: 'object', properties: { zone: { default: 'UTC' } } } }, '', { at: { zone: 'UTC' } }],
])('for the properties %j and "%s" the arguments fit', (properties, question, expected) => {
  expect(plausibleArguments({ type: 'object', properties }, question)).toEqual(expected);
});

test('a schema without an end still gets an answer', () => {
  expect(JSON.stringify(plausibleArguments({ properties: { tree: recursive } }, ''))).toContain('[[[');
});
