export { createClientIp } from './core/client-ip.ts';
export { parseRanges, type IpRanges } from './core/ip-ranges.ts';
export { ipScope } from './core/ip-address.ts';
