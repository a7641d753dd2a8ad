/** Hooks decide by a plain yes or no; whatever else they do ends within their budget, and hurts nobody else. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { residentBytes } from '../bench/proc.ts';
import { bearer, chat, chatPath, outcomeOf, startGuarded, type Guarded } from './harness/authenticated.ts';
import { fetchText } from './harness/http-client.ts';
import { until } from './harness/until.ts';

const megabyte = 1024 * 1024;
const plain = 'sk-e2e-judged-by-no-hook';

/** A hook with one function per key, chosen by the key's name. */
function judgedBy(functions: Readonly<Record<string, string>>, lua: Record<string, unknown> = {}) {
  const names = Object.keys(functions);
  const cases = names.map((name) => `[${JSON.stringify(name)}] = function() ${functions[name]} end`);
  return {
    name: 'judged',
    type: 'static',
    static: { keys: names.map((name) => ({ key: keyOf(name), name })) },
    lua: { script: `local cases = {\n${cases.join(',\n')} }\nreturn cases[data.name]()`, ...lua },
  };
}
const keyOf = (name: string): string => `sk-e2e-hook-${name.replaceAll(/[^a-z0-9]/gi, '-')}`;
const unjudged = { name: 'plain', type: 'static', static: { keys: [{ key: plain }] } };

const resources = new AsyncDisposableStack();
afterAll(() => resources.disposeAsync());

const yes = { true: 'return true', 'allow = true': 'return { allow = true }' };
const no = {
  'no return at all': '',
  nil: 'return nil',
  false: 'return false',
  'a text': "return 'true'",
  'a number': 'return 1',
  'an empty table': 'return {}',
  'a list': 'return { true }',
  'allow as a text': "return { allow = 'true' }",
  'allow as a number': 'return { allow = 1 }',
  'allow as a table': 'return { allow = {} }',
  'allow of nil': 'return { allow = nil, metadata = { user_id = 1 } }',
  'a function': 'return function() return true end',
  'an error': "error('the secret of the script at line 42')",
  'an error that is a table': 'error({ allow = true })',
  'a field of nil': 'return data.account.status.allow',
  'a call of nil': 'return grant(data)',
  'an endless recursion': 'local function f() return 1 + f() end return f()',
};

describe('7 · the answer of a hook', () => {
  let guarded: Guarded;
  beforeAll(async () => {
    guarded = resources.use(
      await startGuarded({ auth: { pipeline: [judgedBy({ ...yes, ...no }), unjudged] } }),
    );
  });

  test.each(Object.keys(yes))('%s lets the key in', async (name) => {
    expect(await outcomeOf(guarded.gateway.address, bearer(keyOf(name)))).toBe('200');
  });

  test.each(Object.keys(no))('%s keeps the key out, and the next request is served', async (name) => {
    expect(await outcomeOf(guarded.gateway.address, bearer(keyOf(name)))).toBe('403 access_denied');
    expect(await outcomeOf(guarded.gateway.address, bearer(plain))).toBe('200');
  });

  describe('20 · what a client learns of a hook', () => {
    test.each(Object.keys(no))('after %s: nothing but that access is denied', async (name) => {
      const { text } = await fetchText(guarded.gateway.address, chatPath, {
        body: chat,
        headers: bearer(keyOf(name)),
      });
      const { error } = JSON.parse(text) as { error: { message: string } };
      expect(error.message).toBe('Access is denied for this API key.');
      expect(text).not.toMatch(/secret of the script|stack|traceback|:\d+:|\.ts|\.js|lua/i);
    });

    test.each(['the secret of the script at line 42', 'the hook returned nothing'])(
      'the log has the reason: %s',
      async (reason) => {
        await until('the reason', () => guarded.gateway.output.stdout.includes(reason));
      },
    );
  });

  test('a hook that is no Lua keeps the gateway from starting, and the setting is named', async () => {
    const start = startGuarded({ auth: { pipeline: [judgedBy({ broken: 'return return' })] } });
    await expect(start).rejects.toThrow(/it ended \(78\)[^]*auth\.pipeline\[0\]\.lua\.script: is not Lua/);
  });
});

/** Sends a request that a hook judges, and tells whether it has been answered. */
function sendJudged(address: string, name: string) {
  let over = false;
  const reply = fetchText(address, chatPath, { body: chat, headers: bearer(keyOf(name)) });
  void reply.finally(() => (over = true));
  return { reply, isOver: () => over };
}

describe('8 · what a hook may use', () => {
  /** More than any test waits for, were it not for the one budget that a bomb is to meet. */
  const patient = { timeout: '20s', max_instructions: 1_000_000_000, max_memory: '1GB' };
  const bombs: [name: string, budget: string, lua: Record<string, unknown>, script: string][] = [
    ['time', 'time', { ...patient, timeout: '1s' }, 'while true do end'],
    ['time and catches its errors', 'time', { ...patient, timeout: '1s' }, 'while true do pcall(error) end'],
    ['instructions', 'instructions', { ...patient, max_instructions: 100_000_000 }, 'while true do end'],
    [
      'memory',
      'memory',
      { ...patient, max_memory: '64MB' },
      "local t = {} while true do t[#t + 1] = string.rep('x', 1000) .. #t for i = 1, 2000 do end end",
    ],
  ];
  const byDefault = {
    'one string of a gigabyte': "return #string.rep('x', 1000000000) > 0",
    'a pattern that never ends': "return string.find(('a'):rep(30), ('a*'):rep(15) .. 'b') == nil",
    'a table that grows': 'local t = {} for i = 1, 1e9 do t[i] = {} end return true',
  };
  const loop = 'for i = 1, 10000 do end return true';
  const dangerous = ['io', 'require', 'load', 'loadstring', 'loadfile', 'dofile', 'debug', 'package'];
  const sandboxed = {
    ...Object.fromEntries(dangerous.map((name) => [name, `return _G['${name}'] == nil and ${name} == nil`])),
    'parts of os': 'return os.execute == nil and os.getenv == nil and os.exit == nil and os.remove == nil',
    'leaves a global': 'seen = true _G.seen = true return seen',
    'leaves a function': 'string.seen = true return string.seen',
    'finds nothing': 'return seen == nil and string.seen == nil',
  };

  let guarded: Guarded;
  const become = (name: string) => outcomeOf(guarded.gateway.address, bearer(keyOf(name)));
  beforeAll(async () => {
    const judged = [
      ...bombs.map(([name, , lua, script]) => judgedBy({ [name]: `log('${name} is lit') ${script}` }, lua)),
      judgedBy({ ...byDefault, ...sandboxed }),
      judgedBy({ generous: loop }, patient),
      judgedBy({ mean: loop }, { max_instructions: 1_000 }),
    ];
    const pipeline = judged.map((provider, i) => ({ ...provider, name: `judged-${i}` }));
    guarded = resources.use(await startGuarded({ auth: { pipeline: [...pipeline, unjudged] } }));
    expect(await outcomeOf(guarded.gateway.address, bearer(plain))).toBe('200');
  });

  test.each(bombs)(
    'a hook that wants %s without end is refused by its budget of %s, and others are served meanwhile',
    async (name, budget) => {
      const { address, output } = guarded.gateway;
      const beforeBytes = residentBytes(guarded.gateway.tree());
      const judged = sendJudged(address, name);
      await until('it runs', () => output.stdout.includes(`${name} is lit`));
      let servedMeanwhile = 0;
      while (!judged.isOver()) {
        expect(await outcomeOf(address, bearer(plain))).toBe('200');
        if (!judged.isOver()) servedMeanwhile += 1;
      }
      expect(servedMeanwhile).toBeGreaterThan(0);
      const { status, text } = await judged.reply;
      expect([status, text]).toEqual([403, expect.stringContaining('Access is denied for this API key.')]);
      expect(residentBytes(guarded.gateway.tree()) - beforeBytes).toBeLessThan(200 * megabyte);
      await until(`the log names ${budget}`, () => {
        const reasons = output.stdout.match(/"the hook failed \([a-z]+\)/g) ?? [];
        return reasons.at(-1) === `"the hook failed (${budget})`;
      });
    },
  );

  test.each(Object.keys(byDefault))(
    'by default %s is refused, and the next request is served',
    async (name) => {
      expect(await become(name)).toBe('403 access_denied');
      expect(await outcomeOf(guarded.gateway.address, bearer(plain))).toBe('200');
    },
  );

  test('the budget of a provider is the one that its settings say', async () => {
    expect(await become('generous')).toBe('200');
    expect(await become('mean')).toBe('403 access_denied');
  });

  test.each([...dangerous, 'parts of os'])('a hook does not find %s', async (name) => {
    expect(await become(name)).toBe('200');
  });

  test('a hook finds nothing of what an earlier run left', async () => {
    expect(await become('leaves a global')).toBe('200');
    await become('leaves a function');
    expect(await become('finds nothing')).toBe('200');
  });
});
