import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Outcome, TokenUsage, UsageEvent } from './usage-event.ts';

const page = readFileSync(new URL('../../../docs/reference/usage-event.md', import.meta.url), 'utf8');

test('the reference page lists exactly the fields of an event, with their meaning', () => {
  const rows = [...page.matchAll(/^\| `(\w+)` \| (.+) \|$/gm)].map(([, field, meaning]) => [field, meaning]);
  const fields = [...Object.entries(UsageEvent.shape), ...Object.entries(TokenUsage.shape)];
  expect(rows).toEqual(fields.map(([field, schema]) => [field, schema.description]));
});

test('the reference page explains every outcome', () => {
  expect([...page.matchAll(/^- `(\w+)`: /gm)].map(([, outcome]) => outcome)).toEqual(Outcome.options);
});
