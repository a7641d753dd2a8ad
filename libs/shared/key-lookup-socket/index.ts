export { openKeyLookup, type KeyLookup, type KeyLookupOptions } from './client.ts';
export type { FoundKey } from './contract.ts';
export { serveKeyLookups, type KeyLookupServer, type ServeKeyLookups } from './server.ts';
