/** Sets of addresses written as single ones and CIDR ranges. */
import { isIpv4, parseIp, type IpAddress } from './ip-address.ts';

export interface IpRanges {
  /** Whether an address is in one of the ranges; null when the text is no address. */
  includes(ip: string): boolean | null;
}

interface Range {
  readonly network: IpAddress;
  readonly bits: number;
  readonly isIpv4: boolean;
}

const wordBits = 32;
const prefixForm = /^\d{1,3}$/;

/**
 * Reads addresses (`10.0.0.7`) and CIDR ranges (`10.0.0.0/8`, `2001:db8::/32`). Bits beyond the prefix are ignored.
 * @returns undefined when one of the entries cannot be read: to drop it would let in, or shut out, the wrong people
 */
export function parseRanges(entries: readonly string[]): IpRanges | undefined {
  const ranges: Range[] = [];
  for (const entry of entries) {
    const range = parseRange(entry.trim());
    if (range === undefined) return undefined;
    ranges.push(range);
  }
  return {
    includes: (ip) => {
      const address = parseIp(ip);
      return address === undefined ? null : ranges.some((range) => holds(range, address));
    },
  };
}

function parseRange(text: string): Range | undefined {
  const slashAt = text.indexOf('/');
  const network = parseIp(slashAt === -1 ? text : text.slice(0, slashAt));
  if (network === undefined) return undefined;
  // A range spelled with colons counts its prefix in IPv6 bits, also when it is one of mapped IPv4 addresses.
  const offset = text.includes(':') ? 0 : 96;
  const prefix = slashAt === -1 ? String(128 - offset) : text.slice(slashAt + 1);
  const bits = Number(prefix) + offset;
  if (!prefixForm.test(prefix) || bits > 128) return undefined;
  return { network, bits, isIpv4: isIpv4(network) && bits >= 96 };
}

/** `::/0` means every IPv6 address and no IPv4 one, as its author would expect. */
function holds({ network, bits, isIpv4: forIpv4 }: Range, address: IpAddress): boolean {
  if (forIpv4 !== isIpv4(address)) return false;
  for (let word = 0, left = bits; left > 0; word++, left -= wordBits) {
    const mask = left >= wordBits ? 0xffff_ffff : ~(0xffff_ffff >>> left);
    if ((((network[word] ?? 0) ^ (address[word] ?? 0)) & mask) !== 0) return false;
  }
  return true;
}
