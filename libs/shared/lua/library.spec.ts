import { expect, test } from 'vitest';
import { compileHook } from './index.ts';

async function valueOf(source: string): Promise<unknown> {
  const outcome = await compileHook(source, { name: 'hook.lua' }).run({});
  return outcome.kind === 'failed' ? outcome.message : outcome.value;
}

test.each([
  ['return {("hello world"):find("o w")}', [5, 7]],
  ['return {("hello"):find("l")}', [3, 3]],
  ['return {("hello"):find("")}', [1, 0]],
  ['return {("hello"):find("xyz")}', {}],
  ['return {("a.b"):find(".", 2, true)}', [2, 2]],
  ['return {("key = value"):match("^(%w+)%s*=%s*(%w+)$")}', ['key', 'value']],
  ['return {("2024-05-06"):match("(%d+)-(%d+)-(%d+)")}', ['2024', '05', '06']],
  ['return ("[[x]]"):match("%b[]")', '[[x]]'],
  ['return ("THE (quick) fox"):find("%((%a+)%)")', 5],
  ['return ("hello"):match("()ll()")', 3],
  ['return ("abcabc"):match("(abc)%1")', 'abc'],
  ['return ("THE (quick) fox"):gsub("%f[%a]%a+", "X")', 'X (X) X'],
  ['return ("  trim  "):match("^%s*(.-)%s*$")', 'trim'],
  ['return ("x=1, y=2"):gsub("(%w+)=(%w+)", "%2=%1")', '1=x, 2=y'],
  ['return ("$name is $age"):gsub("%$(%w+)", {name = "Bob"})', 'Bob is $age'],
  ['return ("abc"):gsub("", "-")', '-a-b-c-'],
  ['return ("abc"):gsub("%w", "%0%0", 2)', 'aabbc'],
  [
    'local t = {} for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do t[k] = v end return t',
    { a: '1', b: '2' },
  ],
  ['return ("abc"):sub(-2)', 'bc'],
  ['return ("abc"):sub(2, 10)', 'bc'],
  ['return ("abc"):byte(-1)', 99],
  ['return string.char(72, 105)', 'Hi'],
  ['return ("aB"):upper() .. ("aB"):lower() .. ("ab"):reverse() .. #("abc")', 'ABabba3'],
  ['return ("ab"):rep(3, "-")', 'ab-ab-ab'],
  ['return ("ab"):rep(0) .. ("x"):rep(-1)', ''],
  ['return ("malformed"):match("[a")', "hook.lua:1: malformed pattern (missing ']')"],
])('strings: %s', async (source, expected) => {
  expect(await valueOf(source)).toEqual(expected);
});

test.each([
  ['"%5d|%-5d|%05d|%+d", 42, 42, 42, 42', '   42|42   |00042|+42'],
  ['"%x|%X|%#x|%o", 255, 255, 255, 8', 'ff|FF|0xff|10'],
  ['"%.2f|%8.3f|%e|%g|%g", 3.14159, 2.5, 12345.678, 0.0001, 1e20', '3.14|   2.500|1.234568e+04|0.0001|1e+20'],
  ['"%s|%10s|%-5s|%.2s|%%", "a", "b", "c", "def"', 'a|         b|c    |de|%'],
  ['"%q", "a\\"b\\n"', '"a\\"b\\\n"'],
  ['"%s %s %s", nil, true, 1.5', 'nil true 1.5'],
  ['"%c%c", 72, 105', 'Hi'],
])('string.format(%s)', async (call, expected) => {
  expect(await valueOf(`return string.format(${call})`)).toBe(expected);
});

test.each([
  ['local t = {1, 2, 3} table.insert(t, 4) table.insert(t, 1, 0) return t', [0, 1, 2, 3, 4]],
  ['local t = {1, 2, 3} return {table.remove(t), table.remove(t, 1), #t}', [3, 1, 1]],
  ['local t = {1, 2, 3, 4} table.move(t, 1, 3, 2) return t', [1, 1, 2, 3]],
  ['return table.concat({1, "a", 2.5}, ", ")', '1, a, 2.5'],
  ['return table.concat({1, 2, 3}, "-", 2, 3)', '2-3'],
  ['return table.pack(1, nil, 3).n', 3],
  ['return {table.unpack({1, 2, 3}, 2)}', [2, 3]],
  ['local t = {3, 1, 2} table.sort(t) return t', [1, 2, 3]],
  ['local t = {"b", "a", "\\1#", "\\18\\3"} table.sort(t) return #t', 4],
  ['local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t', [3, 2, 1]],
  ['local n = 0 for k, v in pairs({a = 1, b = 2, 3}) do n = n + v end return n', 6],
  ['local t = {a = 1, b = 2, c = 3} for k in pairs(t) do t[k] = nil end return next(t) == nil', true],
  ['local t = {["\\1#"] = "a", ["\\18\\3"] = "b"} return t["\\1#"] .. t["\\18\\3"]', 'ab'],
])('tables: %s', async (source, expected) => {
  expect(await valueOf(source)).toEqual(expected);
});

test.each([
  ['return {math.floor(1.7), math.ceil(1.2), math.max(1, 3, 2), math.min(3, 1)}', [1, 2, 3, 1]],
  [
    'return {tonumber("0x10"), tonumber("ff", 16), tonumber(" 12 "), tonumber("z") == nil}',
    [16, 255, 12, true],
  ],
  ['return {tonumber("1e3"), 7 // 2, 7 % 3, -7 % 3, 2 ^ 10}', [1000, 3, 1, 2, 1024]],
  ['return {5 & 3, 5 | 3, 5 ~ 3, 1 << 4, ~0}', [1, 7, 6, 16, -1]],
  ['return os.time({year = 2020, month = 1, day = 1, hour = 0})', 1_577_836_800],
  ['return os.date("*t", 0).year', 1970],
  ['return {pcall(error, {code = 7})}', [false, { code: 7 }]],
  ['return {pcall(function(...) return select("#", ...) end, 1, 2)}', [true, 2]],
  [
    'return {xpcall(function() error("e", 0) end, function(m) return "handled " .. m end)}',
    [false, 'handled e'],
  ],
  ['return {xpcall(function(a) return a end, print, 5)}', [true, 5]],
  ['return {assert(1, "m")}', [1, 'm']],
  ['return type(math.random()) .. math.random(3, 3)', 'number3'],
])('the rest: %s', async (source, expected) => {
  expect(await valueOf(source)).toEqual(expected);
});
