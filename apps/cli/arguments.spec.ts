import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { readArguments } from './arguments.ts';
import { startArguments } from './start-arguments.ts';

const main = fileURLToPath(new URL('./main.ts', import.meta.url));
const secret = 'sk-llmproxy-aaaabbbbccccddddeeeeffffgggghhhh';

test.each([
  ['keys add --name ci --rmp 5', 'unknown option --rmp: did you mean --rpm?'],
  ['dead-letters list --bogus', 'unknown option --bogus: there are --config, --reporter, --id, --limit'],
  ['start --listn 1', 'unknown option --listn: did you mean --listen?'],
  ['keys add --name ci --rpm -3', '--rpm needs a value behind it'],
  ['keys add --name ci --quota much', '--quota takes a whole number, such as 1000000'],
  ['dead-letters list --limit none', '--limit takes a whole number of at least 1'],
])('"llmproxy %s" is called wrongly: one line, exit code 2', (line, message) => {
  const { status, stderr } = spawnSync(process.execPath, [main, ...line.split(' ')], { encoding: 'utf8' });
  expect(stderr).toMatch(/^[^\n]+\n$/);
  expect(stderr).toContain(`llmproxy: ${message}`);
  expect(status).toBe(2);
});

test.each([
  [['--listen', '127.0.0.1:1', secret], 'a word too many'],
  [[`--${secret}`], 'unknown option: there are'],
  [['--listen'], '--listen needs a value'],
])('%j is refused without repeating a value', (args, message) => {
  const refused = () => startArguments(args);
  expect(refused).toThrow(message);
  expect(refused).not.toThrow(secret);
});

test('a value may begin with a dash behind an equals sign, and a switch takes none', () => {
  const options = { name: { type: 'string' }, json: { type: 'boolean' } } as const;
  expect(readArguments({ args: ['--name=-x', '--json'], options }).values).toEqual({
    name: '-x',
    json: true,
  });
  expect(() => readArguments({ args: ['--json=yes'], options })).toThrow('--json takes no value');
});
