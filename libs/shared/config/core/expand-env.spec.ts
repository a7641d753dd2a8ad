import { expect, test } from 'vitest';
import { expandEnv } from './expand-env.ts';

const env = { A: 'one', EMPTY: '', NESTED: '${A}', DOLLAR: '$$' };

test.each([
  ['plain', 'plain'],
  ['${A}', 'one'],
  ['<${A}|${A}>', '<one|one>'],
  ['${A:-two}', 'one'],
  ['${NONE:-two}', 'two'],
  ['${NONE:-}', ''],
  ['${NONE:-http://x:1/y}', 'http://x:1/y'],
  ['${EMPTY}', ''],
  ['${EMPTY:-two}', 'two'],
  ['$$', '$'],
  ['$${A}', '${A}'],
  ['$A costs $5', '$A costs $5'],
  ['${NESTED}', '${A}'],
  ['${DOLLAR}', '$$'],
])('%s becomes %s', (text, expected) => {
  expect(expandEnv(text, env)).toMatchObject({ text: expected });
});

test('an unset variable is named, and how to give it a default', () => {
  expect(expandEnv('x${NONE}', env)).toEqual({
    problem: 'the environment variable NONE is not set; ${NONE:-…} would give it a default',
  });
});

test.each(['${}', '${1A}', '${A-B}', '${sk-secret}', '${A'])('%s is refused without repeating it', (text) => {
  const result = expandEnv(text, env);
  expect('problem' in result && result.problem).toMatch(/a plain dollar sign is written \$\$$/);
  expect(JSON.stringify(result)).not.toContain('secret');
});

test('names every object has by birth are not variables', () => {
  expect(expandEnv('${toString}', {})).toHaveProperty('problem');
});
