import fc from 'fast-check';
import { isIP } from 'node:net';
import { describe, expect, test } from 'vitest';
import { formatIp, parseIp } from './core/ip-address.ts';
import { createClientIp, ipScope, parseRanges } from './index.ts';

const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join('.'));
const ipv6 = fc.ipV6();

describe('addresses', () => {
  test.each([
    ['10.0.0.7', '10.0.0.7'],
    ['::ffff:10.0.0.7', '10.0.0.7'],
    ['::FFFF:0a00:0007', '10.0.0.7'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8:0:1:0:0:0:1', '2001:db8:0:1::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['fe80::1%eth0', 'fe80::1'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
  ])('%s is %s', (text, spelled) => {
    const address = parseIp(text);
    expect(address && formatIp(address)).toBe(spelled);
  });

  test.each([
    '',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    '1:2',
    '1::2::3',
    ':::',
    '12345::',
    '10.0.0.7::',
    'host',
    '::1.2.3',
  ])('%j is no address', (text) => {
    expect(parseIp(text)).toBeUndefined();
  });

  test('every address survives being written and read, and node agrees that it is one', () => {
    fc.assert(
      fc.property(fc.oneof(octets, ipv6), (text) => {
        const address = parseIp(text);
        expect(address).toBeDefined();
        const spelled = address ? formatIp(address) : '';
        expect(isIP(spelled)).not.toBe(0);
        expect(parseIp(spelled)).toEqual(address);
      }),
    );
  });

  test('no text makes the parser see an address where node sees none', () => {
    const alphabet = fc.constantFrom(...'0123456789abcdef:.f');
    fc.assert(
      fc.property(fc.string({ unit: alphabet, maxLength: 24 }), (text) => {
        expect(parseIp(text) !== undefined).toBe(isIP(text) !== 0);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ['203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:aaaa::1', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['', ''],
  ])('%s is limited as %s', (ip, scope) => {
    expect(ipScope(ip)).toBe(scope);
  });
});

describe('ranges', () => {
  test.each([
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.0.0.7', '10.0.0.7', true],
    ['10.0.0.7', '10.0.0.8', false],
    ['10.0.0.7', '::ffff:10.0.0.7', true],
    ['10.0.0.9/30', '10.0.0.11', true],
    ['10.0.0.9/30', '10.0.0.12', false],
    ['0.0.0.0/0', '203.0.113.7', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['::/0', '2001:db8::1', true],
    ['::/0', '203.0.113.7', false],
    ['2001:db8::/32', '2001:db8:ffff::1', true],
    ['2001:db8::/32', '2001:db9::1', false],
    ['2001:db8::1', '2001:0db8:0:0::1', true],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['255.255.255.255/32', '255.255.255.255', true],
    ['10.0.0.0/8', 'nonsense', null],
  ])('%s includes %s: %s', (range, ip, included) => {
    expect(parseRanges([range])?.includes(ip)).toBe(included);
  });

  test.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/8.5', '::/129', '10.0.0', '*', ''])(
    'a list with %j in it is unreadable as a whole',
    (entry) => {
      expect(parseRanges(['10.0.0.0/8', entry])).toBeUndefined();
    },
  );

  test('a range of prefix n holds exactly the addresses whose first n bits are its own', () => {
    const bitsOf = (ip: string) =>
      (parseIp(ip) ?? []).map((word) => word.toString(2).padStart(32, '0')).join('');
    const near = (ip: string, flip: number) => {
      const bits = [...bitsOf(ip)];
      bits[flip] = bits[flip] === '0' ? '1' : '0';
      const word = (at: number) => Number.parseInt(bits.slice(at * 32, at * 32 + 32).join(''), 2);
      return formatIp([word(0), word(1), word(2), word(3)]);
    };
    fc.assert(
      fc.property(octets, fc.nat(32), fc.nat(31), (ip, prefix, flip) => {
        const ranges = parseRanges([`${ip}/${prefix}`]);
        expect(ranges?.includes(ip)).toBe(true);
        expect(ranges?.includes(near(ip, 96 + flip))).toBe(flip >= prefix);
      }),
    );
  });
});

describe('the client address', () => {
  const arrive = (peerAddress: string, ...rawHeaders: string[]) => ({ peerAddress, rawHeaders });
  const behindProxies = createClientIp(['10.0.0.0/8', '2001:db8:f::/48']);

  test('without trusted proxies it is the peer, whatever the headers say', () => {
    const clientIp = createClientIp([]);
    expect(clientIp(arrive('203.0.113.7', 'X-Forwarded-For', '1.1.1.1', 'X-Real-IP', '2.2.2.2'))).toBe(
      '203.0.113.7',
    );
    expect(clientIp(arrive('::ffff:203.0.113.7'))).toBe('203.0.113.7');
  });

  test.each([
    ['a stranger says who it is', arrive('203.0.113.7', 'x-forwarded-for', '1.1.1.1'), '203.0.113.7'],
    ['one proxy', arrive('10.0.0.1', 'X-Forwarded-For', '203.0.113.7'), '203.0.113.7'],
    [
      'the client forged the left part',
      arrive('10.0.0.1', 'x-forwarded-for', '1.1.1.1, 203.0.113.7'),
      '203.0.113.7',
    ],
    ['two proxies', arrive('10.0.0.1', 'x-forwarded-for', '1.1.1.1, 203.0.113.7, 10.0.0.2'), '203.0.113.7'],
    [
      'a proxy that adds a line',
      arrive('10.0.0.1', 'x-forwarded-for', '1.1.1.1', 'x-forwarded-for', '203.0.113.7'),
      '203.0.113.7',
    ],
    ['all of them are ours', arrive('10.0.0.1', 'x-forwarded-for', '10.0.0.3, 10.0.0.2'), '10.0.0.3'],
    ['with a port', arrive('10.0.0.1', 'x-forwarded-for', '203.0.113.7:4711'), '203.0.113.7'],
    ['IPv6 with a port', arrive('2001:db8:f::1', 'x-forwarded-for', '[2001:DB8::7]:4711'), '2001:db8::7'],
    [
      'an unreadable entry',
      arrive('10.0.0.1', 'x-forwarded-for', '203.0.113.7, unknown, 10.0.0.2'),
      '10.0.0.2',
    ],
    ['an empty entry', arrive('10.0.0.1', 'x-forwarded-for', '203.0.113.7, '), '203.0.113.7'],
    ['x-real-ip of a trusted peer', arrive('10.0.0.1', 'X-Real-IP', '203.0.113.7'), '203.0.113.7'],
    [
      'x-real-ip beside x-forwarded-for',
      arrive('10.0.0.1', 'x-real-ip', '1.1.1.1', 'x-forwarded-for', '203.0.113.7'),
      '203.0.113.7',
    ],
    ['x-real-ip of a stranger', arrive('203.0.113.7', 'x-real-ip', '1.1.1.1'), '203.0.113.7'],
    ['nothing said', arrive('::ffff:10.0.0.1'), '10.0.0.1'],
  ])('%s', (_, arrival, ip) => {
    expect(behindProxies(arrival)).toBe(ip);
  });

  test('no header a client sends behind a trusted proxy changes its address', () => {
    fc.assert(
      fc.property(fc.string(), (forged) => {
        expect(behindProxies(arrive('10.0.0.1', 'x-forwarded-for', `${forged}, 203.0.113.7`))).toBe(
          '203.0.113.7',
        );
      }),
    );
  });

  test('a proxy that cannot be read is an error at the start', () => {
    expect(() => createClientIp(['10.0.0.0/8', 'proxy.local'])).toThrow('no address or CIDR range');
  });
});
