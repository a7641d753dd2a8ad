import type { TlsTexts } from '@llmproxy/client-login';

/** How a SQL server is known, and who we are to it. */
export interface SqlTls {
  /** Asked for each connection. @throws Error when the texts cannot be read, which is told; at the start it is refused */
  readonly read: () => TlsTexts;
  /** `full`: the certificate is by an authority and for the host. `ca`: by an authority. `none`: nothing is asked. */
  readonly verify: 'full' | 'ca' | 'none';
  /** Hears of texts that cannot be read any more; what was read last stays in use. */
  readonly tell?: ((reason: string) => void) | undefined;
}
