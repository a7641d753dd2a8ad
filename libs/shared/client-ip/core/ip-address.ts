/** IP addresses as 128 bits. An IPv4 address is the IPv6 one it is mapped to, so `::ffff:10.0.0.7` is `10.0.0.7`. */

/** Four unsigned 32-bit words, most significant first. */
export type IpAddress = readonly [number, number, number, number];

const mappedWord = 0xffff;
const dotted = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;
const hextet = /^[0-9a-f]{1,4}$/i;

/** Whether this is IPv4, plain or mapped into IPv6. */
export const isIpv4 = ([first, second, third]: IpAddress): boolean =>
  first === 0 && second === 0 && third === mappedWord;

/** Reads `10.0.0.7`, `2001:db8::1`, `::ffff:10.0.0.7` or `fe80::1%eth0`; undefined when the text is no address. */
export function parseIp(text: string): IpAddress | undefined {
  if (!text.includes(':')) {
    const word = ipv4Word(text);
    return word === undefined ? undefined : [0, 0, mappedWord, word];
  }
  const zoneAt = text.indexOf('%');
  return parseIpv6(zoneAt === -1 ? text : text.slice(0, zoneAt));
}

/** An octet with a leading zero is refused: some read it as octal, and a range must mean one thing. */
function ipv4Word(text: string): number | undefined {
  const octets = dotted.exec(text);
  if (!octets) return undefined;
  let word = 0;
  for (let i = 1; i <= 4; i++) {
    const octet = Number(octets[i]);
    if (octet > 255) return undefined;
    word = word * 256 + octet;
  }
  return word;
}

function parseIpv6(text: string): IpAddress | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = hextetsOf(halves[0] ?? '', halves.length === 1);
  const tail = halves.length === 2 ? hextetsOf(halves[1] ?? '', true) : [];
  if (!head || !tail) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...Array<number>(missing).fill(0), ...tail];
  const word = (at: number): number => (all[at] ?? 0) * 0x10000 + (all[at + 1] ?? 0);
  return [word(0), word(2), word(4), word(6)];
}

/** @param endsAddress only there may the last 32 bits stand in dotted notation */
function hextetsOf(text: string, endsAddress: boolean): number[] | undefined {
  if (text === '') return [];
  const hextets: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (hextet.test(part)) {
      hextets.push(Number.parseInt(part, 16));
      continue;
    }
    const word = endsAddress && index === parts.length - 1 ? ipv4Word(part) : undefined;
    if (word === undefined) return undefined;
    hextets.push(Math.floor(word / 0x10000), word % 0x10000);
  }
  return hextets;
}

/** The one spelling of an address (RFC 5952), so that texts can be compared; IPv4 is always dotted. */
export function formatIp(address: IpAddress): string {
  if (isIpv4(address)) return formatIpv4(address[3]);
  const hextets = address.flatMap((word) => [Math.floor(word / 0x10000), word % 0x10000]);
  const gap = longestZeros(hextets);
  const hex = (from: number, to: number): string =>
    hextets
      .slice(from, to)
      .map((value) => value.toString(16))
      .join(':');
  return gap.length < 2 ? hex(0, 8) : `${hex(0, gap.at)}::${hex(gap.at + gap.length, 8)}`;
}

const formatIpv4 = (word: number): string =>
  `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;

function longestZeros(hextets: readonly number[]): { at: number; length: number } {
  let best = { at: 0, length: 0 };
  for (let at = 0; at < hextets.length; at++) {
    let length = 0;
    while (hextets[at + length] === 0) length++;
    if (length > best.length) best = { at, length };
  }
  return best;
}

/**
 * Who shares a fate in limits by address: an IPv4 address stands for itself, an IPv6 one for its /64, because one
 * customer has at least so many. What is no address stands for itself.
 */
export function ipScope(ip: string): string {
  if (!ip.includes(':')) return ip;
  const address = parseIp(ip);
  if (address === undefined) return ip;
  return isIpv4(address) ? formatIp(address) : `${formatIp([address[0], address[1], 0, 0])}/64`;
}
