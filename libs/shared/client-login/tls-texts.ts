/** PEM texts, by the names that `tls.connect` has for them. */
export interface TlsTexts {
  /** Authorities that vouch for the server, in place of those that Node.js brings along. */
  readonly ca?: string;
  /** Our certificate and its chain. */
  readonly cert?: string;
  readonly key?: string;
  /** Name that the certificate of the server must carry. Left out: the host of its address. */
  readonly servername?: string;
}
