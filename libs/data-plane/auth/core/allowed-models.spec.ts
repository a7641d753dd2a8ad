import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAllowedModels } from './allowed-models.ts';

const allows = (entries: string[], model: string): boolean => {
  const models = parseAllowedModels(entries);
  if (models === 'unreadable') throw new Error('unreadable');
  return models === null || models(model);
};

test.each([
  [[], 'gpt-4o', true],
  [['*'], 'gpt-4o', true],
  [['llama-3', '*'], 'gpt-4o', true],
  [['gpt-4o'], 'gpt-4o', true],
  [['gpt-4o'], 'gpt-4o-mini', false],
  [['gpt-4o'], 'GPT-4o', false],
  [['gpt-4*'], 'gpt-4', true],
  [['gpt-4*'], 'gpt-4o-mini', true],
  [['gpt-4*'], 'gpt-3.5', false],
  [['openai/*', 'llama-3'], 'openai/gpt-4o', true],
  [[' gpt-4o '], 'gpt-4o', true],
  [[''], 'gpt-4o', false],
])('with allowed_models %j the model %s is allowed: %s', (entries: string[], model, allowed) => {
  expect(allows(entries, model)).toBe(allowed);
});

test.each([['*-mini'], ['gpt-*-mini'], ['**']])('%s has no meaning, and is not guessed at', (entry) => {
  expect(parseAllowedModels(['gpt-4o', entry])).toBe('unreadable');
});

test('one more entry never takes a model away', () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '-'), minLength: 1, maxLength: 4 });
  const entry = fc.tuple(name, fc.constantFrom('', '*')).map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1 }), entry, name, (entries, more, model) => {
      if (allows(entries, model)) expect(allows([...entries, more], model)).toBe(true);
    }),
  );
});
