import { expect, test } from 'vitest';
import { schemaOf, settingsOf } from './known-keys.ts';
import { findNotBuilt, notBuilt } from './not-built.ts';
import { ConfigFile } from './schema/config-file.ts';

const settings = new Map(settingsOf(schemaOf(ConfigFile)));

test('what the schema accepts is not listed as not built', () => {
  const refused = notBuilt
    .filter(({ values }) => values === undefined)
    .map(({ path }) => path.replaceAll('.*', '[]'));
  expect(refused.filter((path) => settings.has(path))).toEqual([]);
});

test('values that are not built belong to a setting that exists, and are none of its choices', () => {
  for (const { path, values = [] } of notBuilt) {
    const choices = settings.get(path.replaceAll('.*', '[]'))?.enum ?? [];
    if (values.length > 0) expect(choices.length, path).toBeGreaterThan(0);
    expect(choices.filter((choice) => values.includes(String(choice)))).toEqual([]);
  }
});

test.each([
  [['server', 'tls'], undefined, 'server.tls'],
  [['server', 'tls', 'cert_file'], undefined, 'server.tls'],
  [['backends', 3, 'models'], undefined, 'backends.*.models'],
  [['auth', 'pipeline', 0, 'redis', 'addr'], undefined, 'auth.pipeline.*.redis.addr'],
  [['routing', 'load_balance'], 'latency_based', 'routing.load_balance'],
  [['routing', 'load_balance'], 'weighted', undefined],
  [['server', 'tlss'], undefined, undefined],
])('%j with %j falls under %s', (path, value, expected) => {
  expect(findNotBuilt(path, value)?.path).toBe(expected);
});
