import { createServer } from 'node:net';

const startsMax = 3;
/** The bus of a node of a cluster listens on its port plus this. */
const busOffset = 10_000;
/**
 * Neither these ports nor those of a bus are ones that a system hands out by itself (32768 and up on Linux): while a
 * killed server is dead, no other connection takes its place.
 */
const ports = { first: 12_000, count: 10_000 };

/** Starts a server on a port of 127.0.0.1; when somebody else takes it between looking and starting, on another. */
export async function onFreePort<Server>(
  start: (port: number) => Promise<Server>,
): Promise<{ port: number; server: Server }> {
  for (let attempt = 1; ; attempt += 1) {
    const port = ports.first + Math.floor(Math.random() * ports.count);
    if (!((await isFree(port)) && (await isFree(port + busOffset)))) continue;
    try {
      return { port, server: await start(port) };
    } catch (cause) {
      if (attempt === startsMax) throw cause;
    }
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
