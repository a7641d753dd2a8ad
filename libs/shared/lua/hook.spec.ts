import { expect, test } from 'vitest';
import { FakeClock } from '@llmproxy/time';
import { compileHook, decisionOf, LuaSyntaxError } from './index.ts';
import type { LuaOutcome } from './index.ts';

const clock = new FakeClock(1_700_000_000_500);

function run(source: string, globals: Readonly<Record<string, unknown>> = {}): Promise<LuaOutcome> {
  return Promise.resolve(compileHook(source, { name: 'hook.lua', clock }).run(globals));
}

async function valueOf(source: string, globals?: Readonly<Record<string, unknown>>): Promise<unknown> {
  const outcome = await run(source, globals);
  if (outcome.kind === 'failed') throw new Error(`${outcome.reason}: ${outcome.message}`);
  return outcome.value;
}

test('a script that is no Lua is refused at start-up, with its line', () => {
  const compile = (): unknown => compileHook('local x = 1\nlocal y = = 2', { name: 'hook.lua' });
  expect(compile).toThrow(LuaSyntaxError);
  expect(compile).toThrow(/^hook\.lua:2: unexpected symbol near '='/);
  try {
    compile();
  } catch (error) {
    expect((error as LuaSyntaxError).line).toBe(2);
  }
});

test('a small hook answers at once, without a turn of the event loop', () => {
  expect(compileHook('return true', { name: 'hook.lua' }).run({})).toEqual({ kind: 'returned', value: true });
});

test.each([
  ['nothing', '', undefined],
  ['nil', 'return nil', null],
  ['text, UTF-8', 'return "余额不足"', '余额不足'],
  ['a list', 'return {1, "b", {true}}', [1, 'b', [true]]],
  ['an empty table', 'return {}', {}],
  ['fields', 'return {a = 1.5, b = {c = false}}', { a: 1.5, b: { c: false } }],
  ['mixed keys', 'return {1, x = 2}', { 1: 1, x: 2 }],
  ['a list with a hole', 'return {[1] = 1, [3] = 3}', { 1: 1, 3: 3 }],
])('a script returns %s', async (_, source, expected) => {
  expect(await valueOf(source)).toEqual(expected);
});

test('a field called __proto__ is only a field', async () => {
  const value = (await valueOf('return {["__proto__"] = {admin = true}}')) as Record<string, unknown>;
  expect(Object.keys(value)).toEqual(['__proto__']);
  expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
});

test.each([
  ['function', 'return {f = print}', 'a function returned'],
  ['a cycle', 'local t = {} t.t = t return t', 'tables nested more than 16 deep returned'],
  [
    'too many values',
    'local t = {} for i = 1, 10001 do t[i] = i end return t',
    'more than 10000 values returned',
  ],
  ['too many bytes', 'local s = ("a"):rep(200000) return {s, s .. "b"}', 'more than 262144 bytes returned'],
])('what cannot come back fails the run: %s', async (_, source, message) => {
  expect(await run(source)).toEqual({ kind: 'failed', reason: 'error', message });
});

test('values of every kind reach the script', async () => {
  const globals = {
    data: {
      text: 'é',
      number: 3_000_000_000,
      big: 12n,
      yes: true,
      none: null,
      list: ['a', { b: 'c' }],
      at: new Date(1_700_000_000_000),
      bytes: Buffer.from('xyz'),
    },
  };
  const source = `return {#data.text, data.number + 1, data.big, data.yes, data.none == nil, data.list[2].b, data.at, data.bytes}`;
  expect(await valueOf(source, globals)).toEqual([
    2,
    3_000_000_001,
    12,
    true,
    true,
    'c',
    1_700_000_000,
    'xyz',
  ]);
});

test('data nested beyond reason fails the run', async () => {
  let data: unknown = 'x';
  for (let i = 0; i < 40; i++) data = [data];
  expect(await run('return true', { data })).toMatchObject({ kind: 'failed', reason: 'error' });
});

test.each([
  ['products beyond 32 bits', 'return 86400 * 1000 * 30', 2_592_000_000],
  ['products of results', 'return math.floor(70000.5) * math.floor(70000.5)', 4_900_000_000],
  ['products of keys', 'for k in pairs({[70000] = 1}) do return k * k end', 4_900_000_000],
  ['products of lengths', 'local s = ("a"):rep(70000) return #s * #s', 4_900_000_000],
  ['hexadecimal', 'return 0xFFFFFFFF + 1', 4_294_967_296],
  ['numerals in text', 'return "10" * 300000000', 3_000_000_000],
  ['whole numbers as text', 'return "user " .. 5 .. " " .. tostring(10 / 2)', 'user 5 5'],
  ['integer formats', 'return ("%d %x"):format(3e9, 255)', '3000000000 ff'],
])('numbers are doubles: %s', async (_, source, expected) => {
  expect(await valueOf(source)).toBe(expected);
});

test('the clock of the gateway is the clock of the script', async () => {
  expect(await valueOf('return {now(), now_ms(), os.time(), os.date("%F %T")}')).toEqual([
    1_700_000_000,
    1_700_000_000_500,
    1_700_000_000,
    '2023-11-14 22:13:20',
  ]);
});

test('log and print write lines that cannot forge others, twenty at most', async () => {
  const lines: string[] = [];
  const source = 'log("a\\nb", 1, nil, true) print("x") for i = 1, 100 do log(i) end';
  await compileHook(source, { name: 'hook.lua', log: (line) => lines.push(line) }).run({});
  expect(lines.slice(0, 3)).toEqual(['a b 1 nil true', 'x', '1']);
  expect(lines).toHaveLength(20);
});

test.each([
  'io',
  'require',
  'package',
  'load',
  'loadstring',
  'loadfile',
  'dofile',
  'debug',
  'collectgarbage',
  'coroutine',
  'utf8',
  'os.execute',
  'os.getenv',
  'os.exit',
  'os.remove',
  'os.rename',
  'os.tmpname',
  'string.dump',
  'math.randomseed',
])('there is no %s', async (name) => {
  expect(await valueOf(`return ${name} == nil`)).toBe(true);
});

test.each([
  ['string.rep = nil'],
  ['string.rep = function() return "poisoned" end'],
  ['rawset(string, "rep", false)'],
  ['rawset(getmetatable(_G).__index, "now", false)'],
  ['getmetatable("").__index = {}'],
  ['setmetatable(string, {__index = function() end})'],
  ['table.insert(table, 1)'],
  ['table.move({1, 2}, 1, 2, 1, string)'],
  ['setmetatable(_G, nil)'],
  ['for k in pairs(string) do string[k] = nil end'],
])('the library cannot be changed: %s', async (source) => {
  const hook = compileHook(`if poison then ${source} end return ("ab"):rep(2) .. type(now)`, {
    name: 'hook.lua',
    clock,
  });
  expect(await hook.run({ poison: true })).toMatchObject({ kind: 'failed', reason: 'error' });
  expect(await hook.run({})).toEqual({ kind: 'returned', value: 'ababfunction' });
});

test('globals of one run are gone in the next', async () => {
  const hook = compileHook('local before = count count = 1 _G.seen = true return before == nil', {
    name: 'hook.lua',
  });
  expect([await hook.run({}), await hook.run({})]).toEqual([
    { kind: 'returned', value: true },
    { kind: 'returned', value: true },
  ]);
});

test('two runs in flight at once do not see each other', async () => {
  const hook = compileHook('local sum = 0 for i = 1, 20000 do sum = sum + step end return {sum, tag}', {
    name: 'hook.lua',
    clock,
  });
  const outcomes = await Promise.all([hook.run({ step: 1, tag: 'a' }), hook.run({ step: 2, tag: 'b' })]);
  expect(outcomes).toEqual([
    { kind: 'returned', value: [20_000, 'a'] },
    { kind: 'returned', value: [40_000, 'b'] },
  ]);
});

test.each([
  ['in a metamethod', 'local t = setmetatable({}, {__add = function(a, b) return spin(b) end}) return t + 1'],
  ['in __index', 'return setmetatable({}, {__index = function(_, k) return spin(k) end})[1]'],
  ['in __lt', 'return (setmetatable({}, {__lt = function() return spin(1) == 1 end}) < {}) and 1'],
  ['in __concat', 'return setmetatable({}, {__concat = function(_, b) return spin(b) end}) .. 1'],
  ['in pcall', 'return select(2, pcall(spin, 1))'],
  ['in pcall of an error', 'return select(2, pcall(function() spin(1) error(1, 0) end))'],
  ['in an xpcall handler', 'return select(2, xpcall(error, function() return spin(1) end))'],
  ['in a gsub callback', 'return tonumber((("1"):gsub(".", function(c) return spin(c) end)))'],
  [
    'in a sort callback',
    'local t = {2, 1} table.sort(t, function(a, b) spin(1) return a < b end) return t[1]',
  ],
  [
    'in tostring',
    'return tonumber(tostring(setmetatable({}, {__tostring = function() return spin("1") end})))',
  ],
  ['in an iterator', 'for x in function(_, last) if not last then return spin(1) end end do return x end'],
  ['in arguments', 'return (function(...) return select(3, ...) end)(0, 0, spin(1))'],
  ['after a caught error', 'pcall(error, "x") return spin(1)'],
])('a run interrupted %s goes on where it was', async (_, body) => {
  const spin = 'local function spin(x) for _ = 1, 20000 do end return x end\n';
  const outcome = compileHook(spin + body, { name: 'hook.lua', clock }).run({});
  expect(outcome).toBeInstanceOf(Promise);
  expect(await outcome).toEqual({ kind: 'returned', value: 1 });
});

test('an error tells the log where it happened', async () => {
  expect(await run('local t\nreturn t.x')).toEqual({
    kind: 'failed',
    reason: 'error',
    message: "hook.lua:2: attempt to index a nil value (local 't')",
  });
});

test.each([
  ['true', 'return true', { allow: true, metadata: {} }],
  ['a table', 'return {allow = true, metadata = {user = "u"}}', { allow: true, metadata: { user: 'u' } }],
  [
    'a denial with a message',
    'return {allow = false, message = "no balance"}',
    { allow: false, message: 'no balance', metadata: {}, reason: undefined },
  ],
  ['false', 'return false', { allow: false, message: undefined, metadata: {}, reason: undefined }],
])('a decision: %s', async (_, source, expected) => {
  expect(decisionOf(await run(source))).toEqual(expected);
});

test.each([
  ['nothing', '', 'the hook returned nothing'],
  ['nil', 'return nil', 'the hook returned nil'],
  ['text', 'return "true"', 'the hook returned a string'],
  ['a number', 'return 1', 'the hook returned a number'],
  ['a list', 'return {true}', 'the hook returned a list'],
  ['no allow', 'return {message = "m"}', "'allow' is missing, not a boolean"],
  ['allow as text', 'return {allow = "true"}', "'allow' is a string, not a boolean"],
  ['allow as a number', 'return {allow = 1}', "'allow' is a number, not a boolean"],
  ['an error', 'error("boom")', 'the hook failed (error): hook.lua:1: boom'],
  ['a spent budget', 'return ("a"):rep(1e9)', 'the hook failed (memory): a string longer than 1048576 bytes'],
])('%s denies, and the reason is for the log', async (_, source, reason) => {
  expect(decisionOf(await run(source))).toMatchObject({ allow: false, reason });
});
