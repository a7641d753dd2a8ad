import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** Where a server listens: a port of 127.0.0.1, or the path of a socket. */
export type Place = number | string;

/** An address that stays the same whatever is behind it: a load balancer, a virtual IP. */
export interface FixedAddress {
  /** On 127.0.0.1. */
  readonly port: number;
  /** From now on new connections lead there; the ones there are go on. */
  pointTo(place: Place): void;
  /** What is sent over the connections there are arrives nowhere any more, as when a firewall has forgotten them. */
  forgetConnections(): void;
  close(): Promise<void>;
}

export async function startFixedAddress(place: Place): Promise<FixedAddress> {
  let target = place;
  const open = new Set<Socket>();
  const track = (socket: Socket, other: Socket): void => {
    open.add(socket);
    socket.on('error', () => other.destroy()).on('close', () => open.delete(socket));
  };
  const server = createServer({ noDelay: true }, (client) => {
    const behind = typeof target === 'number' ? connect(target, '127.0.0.1') : connect(target);
    track(client, behind);
    track(behind, client);
    client.pipe(behind).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    pointTo(next) {
      target = next;
    },
    forgetConnections() {
      for (const socket of open) socket.unpipe().pause();
    },
    close() {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
