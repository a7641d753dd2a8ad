/** A server without a model that answers like one: `main.js [--listen 127.0.0.1:0] [--pace-ms 20]`. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { parseListen } from '@llmproxy/telemetry';
import { createDemoServer } from './server.ts';

const { values: flags } = parseArgs({
  options: {
    listen: { type: 'string', default: '127.0.0.1:0' },
    'pace-ms': { type: 'string', default: '20' },
  },
});
const paceMs = Number(flags['pace-ms']);
if (!(paceMs >= 0 && paceMs <= 60_000)) {
  console.error('--pace-ms must be a number from 0 to 60000');
  process.exit(64); // EX_USAGE
}

const server = createDemoServer(paceMs);
server.listen(parseListen(flags.listen));
await once(server, 'listening');
const bound = server.address() as AddressInfo | string;
const url = typeof bound === 'string' ? `unix:${bound}` : `http://${hostOf(bound)}:${bound.port}`;

const stop = (): void => {
  server.close(() => process.exit(0));
  server.closeAllConnections();
};
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, stop);
process.once('disconnect', stop);
if (process.send) process.send({ ready: true, url });
else console.log(`the demo backend listens on ${url}`);

function hostOf({ address, family }: AddressInfo): string {
  if (address === '::' || address === '0.0.0.0') return '127.0.0.1';
  return family === 'IPv6' ? `[${address}]` : address;
}
