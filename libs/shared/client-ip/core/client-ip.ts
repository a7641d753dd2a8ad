/** Who sent a request, when proxies stand between. Only what a trusted proxy says of its peer is believed. */
import { formatIp, parseIp } from './ip-address.ts';
import { parseRanges } from './ip-ranges.ts';

/** What is needed of a request; an `Inbound` is one. */
interface Arrival {
  /** Address of the TCP peer. */
  readonly peerAddress: string;
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[];
}

const withPort = /^(?:\[([^\]]*)\]|(\d+\.\d+\.\d+\.\d+))(?::\d+)?$/;
const mappedIpv4 = '::ffff:';

/**
 * Makes the function that tells a client's address, in its one spelling. From the right of `x-forwarded-for`, entries
 * are passed over for as long as the proxy that wrote them is trusted: the first address that is no trusted proxy is
 * the client. `x-real-ip` counts only where a trusted peer sent no `x-forwarded-for`. Everything else, and all a
 * client writes by itself, is ignored.
 * @param trustedProxies addresses and CIDR ranges; empty: the peer is the client
 * @throws Error when an entry is no address or range
 */
export function createClientIp(trustedProxies: readonly string[]): (arrival: Arrival) => string {
  if (trustedProxies.length === 0) return ({ peerAddress }) => plain(peerAddress);
  const trusted = parseRanges(trustedProxies);
  if (trusted === undefined) throw new Error('a trusted proxy is no address or CIDR range');
  const isTrusted = (ip: string): boolean => trusted.includes(ip) === true;
  return ({ peerAddress, rawHeaders }) => {
    const peer = plain(peerAddress);
    if (!isTrusted(peer)) return peer;
    const hops = valuesOf(rawHeaders, 'x-forwarded-for').join(',');
    if (hops.trim() === '') return addressIn(valuesOf(rawHeaders, 'x-real-ip')[0] ?? '') ?? peer;
    return nearestUntrusted(peer, hops, isTrusted);
  };
}

function nearestUntrusted(peer: string, hops: string, isTrusted: (ip: string) => boolean): string {
  let nearest = peer;
  for (const hop of hops.split(',').reverse()) {
    if (hop.trim() === '') continue;
    const address = addressIn(hop);
    // Beyond an entry that cannot be read nothing is known: the proxy that wrote it is as near as we get.
    if (address === undefined) return nearest;
    nearest = address;
    if (!isTrusted(nearest)) return nearest;
  }
  return nearest;
}

/** Some proxies append a port: `203.0.113.7:4711`, `[2001:db8::1]:4711`. */
function addressIn(text: string): string | undefined {
  const [, bracketed, dotted] = withPort.exec(text.trim()) ?? [];
  const address = parseIp(bracketed ?? dotted ?? text.trim());
  return address && formatIp(address);
}

/** All of them: a proxy may add a line of its own instead of extending the one it was sent. */
function valuesOf(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() === name) values.push(rawHeaders[i + 1] ?? '');
  }
  return values;
}

/** Node spells addresses as we do, except for IPv4 peers of a socket that listens on IPv6. */
const plain = (peerAddress: string): string =>
  peerAddress.startsWith(mappedIpv4) ? peerAddress.slice(mappedIpv4.length) : peerAddress;
