/** Where the connections of a pool lead. */
import { isIP } from 'node:net';

export interface Origin {
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
  /** For the `host` header. */
  readonly authority: string;
}

/** @param text scheme (http or https), host and port */
export function originOf(text: string): Origin {
  const { protocol, hostname, host, port } = new URL(text);
  const tls = protocol === 'https:';
  return {
    tls,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (tls ? 443 : 80) : Number(port),
    authority: host,
  };
}

/** The name goes with the handshake: one address serves many certificates. Addresses are no names (RFC 6066 §3). */
export function tlsOptions({ host }: Origin, tlsSession: Buffer | undefined) {
  return {
    ALPNProtocols: ['http/1.1'],
    ...(isIP(host) ? {} : { servername: host }),
    ...(tlsSession && { session: tlsSession }),
  };
}
