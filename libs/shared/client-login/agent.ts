import { Agent, buildConnector } from 'undici';
import { lastingly } from './lastingly.ts';
import type { TlsTexts } from './tls-texts.ts';

export interface AgentOptions {
  /** Most connections to one server. */
  readonly connections: number;
  /** For `https://`; asked for each connection. Left out: any server whose certificate Node.js trusts. */
  readonly tls?: (() => TlsTexts) | undefined;
  /** Hears of certificates that cannot be read any more. */
  readonly tell?: ((reason: string) => void) | undefined;
}

/**
 * Connections to HTTP servers, each opened with the certificates that are valid then.
 * @throws what `tls` throws
 */
export function openAgent({ connections, tls, tell = () => undefined }: AgentOptions): Agent {
  if (tls === undefined) return new Agent({ connections, pipelining: 1 });
  const read = lastingly(tls, tell);
  const connect: buildConnector.connector = (target, done) => {
    const { servername, ...texts } = read();
    const name = servername ?? target.servername;
    buildConnector({ ...texts, allowH2: false })({ ...target, ...(name && { servername: name }) }, done);
  };
  return new Agent({ connections, pipelining: 1, connect });
}
