import fc from 'fast-check';
import { expect, test } from 'vitest';
import { renderProblem } from './problem.ts';
import { readYaml } from './read-yaml.ts';
import { ConfigFile } from './schema/config-file.ts';
import { validate } from './validate.ts';

const messages = (text: string, env = {}): string[] => {
  const yaml = readYaml('c.yaml', text, env);
  const found = yaml.usable && yaml.data() !== null ? validate(yaml, ConfigFile).problems : [];
  return [...yaml.problems, ...found].map(renderProblem);
};

test('a problem points at the value, or at the name, or at the block where something is missing', () => {
  const yaml = readYaml('c.yaml', 'a:\n  - b: 1\n    c: two\n', {});
  const placeOf = (path: (string | number)[], at?: 'key'): number[] => {
    const { line, column } = yaml.problem(path, '', at);
    return [line, column];
  };
  expect(placeOf(['a', 0, 'c'])).toEqual([3, 8]);
  expect(placeOf(['a', 0, 'c'], 'key')).toEqual([3, 5]);
  expect(placeOf(['a', 0, 'missing'])).toEqual([2, 5]);
  expect(placeOf(['nowhere', 'at', 'all'])).toEqual([1, 1]);
});

test('a problem behind an alias points at the anchor', () => {
  const text = 'backends:\n  - &b\n    url: nowhere\n  - *b\n';
  expect(messages(text)).toEqual([
    'c.yaml:3:10  backends[0].url: expected a URL that starts with http:// or https://',
    'c.yaml:3:10  backends[1].url: expected a URL that starts with http:// or https://',
  ]);
});

test('aliases that unfold to gigabytes are refused', () => {
  const bomb = ['a0: &a0 [x, x]'];
  for (let i = 1; i < 30; i++) bomb.push(`a${i}: &a${i} [*a${i - 1}, *a${i - 1}]`);
  expect(messages(bomb.join('\n'))).toEqual(['c.yaml:1:1  too many aliases (*name)']);
});

test('a key called __proto__ is an unknown key, and changes nothing', () => {
  expect(messages('backends: [{ url: "http://x" }]\n__proto__: { polluted: true }\n')).toHaveLength(1);
  expect(Reflect.get({}, 'polluted')).toBeUndefined();
});

test('text from the environment becomes a number or a switch only where one is wanted', () => {
  const text =
    'server: { workers: "${N}" }\nbackends: [{ url: "http://x", api_key: "${N}", include_usage: "${B}" }]';
  const { value, problems } = validate(readYaml('c.yaml', text, { N: '7', B: 'false' }), ConfigFile);
  expect(problems).toEqual([]);
  expect(value).toMatchObject({ server: { workers: 7 }, backends: [{ api_key: '7', include_usage: false }] });
});

test('text in quotes is not taken for a number without the environment', () => {
  expect(messages("server: { workers: '7' }\nbackends: [{ url: 'http://x' }]")).toEqual([
    'c.yaml:1:20  server.workers: expected a whole number',
  ]);
});

test('a bare word where a setting should stand is not repeated', () => {
  expect(messages('backends: [{ url: "http://x", hunter }]')).toEqual([
    'c.yaml:1:31  backends[0]: unknown key',
  ]);
});

test('however a file is broken, it is read without a crash and no message repeats a secret', () => {
  const text = `server: { listen: 'canary7' }
backends:
  - url: http://x:canary7@y
    api_key: canary7
    auth: { type: canary7, value: canary7 }
    headers: { X-A: canary7 }
    timeout: canary7
    weight: canary7
api_keys: [{ key: canary7, status: canary7, expires_at: canary7 }]
usage: { reporters: [{ name: a, type: webhook, webhook: { url: canary7, secret: '\${canary7}' } }] }
redis: { url: canary7 }
`;
  const cut = fc.record({ at: fc.nat(text.length), remove: fc.nat(4), insert: fc.string({ maxLength: 2 }) });
  fc.assert(
    fc.property(fc.array(cut, { maxLength: 6 }), (cuts) => {
      const broken = cuts.reduce(
        (all, c) => all.slice(0, c.at) + c.insert + all.slice(c.at + c.remove),
        text,
      );
      const said = messages(broken).join('\n');
      const withoutNames = said.replaceAll(/environment variable \w+ is not set; \$\{\w+:-/g, '');
      expect(withoutNames).not.toContain('canary7');
    }),
    { numRuns: 500 },
  );
});
