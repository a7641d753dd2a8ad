import { z } from 'zod';
import { filePath } from './leaves.ts';

/** How a server that speaks TLS is known, and who we are to it: one block wherever a connection is configured. */
export const ClientTls = z.strictObject({
  ca_file: filePath()
    .optional()
    .describe(
      'PEM file of the authorities that vouch for the server, in place of those that Node.js brings along.',
    ),
  cert_file: filePath()
    .optional()
    .describe('PEM file of our certificate and its chain, for servers that ask for one.'),
  key_file: filePath()
    .optional()
    .describe('PEM file of the private key of `cert_file`, without a passphrase.'),
  server_name: z
    .string()
    .min(1)
    .optional()
    .describe('Name that the certificate of the server must carry. Default: the host of its address.'),
});
export type ClientTls = z.output<typeof ClientTls>;

const described = 'Files are read anew for each connection, so that certificates can be replaced.';
/** @param when for which connections, as in `For rediss://.` */
export const clientTls = (when: string) => ClientTls.optional().describe(`${when} ${described}`);

/** A file whose text is a password. */
export const passwordFile = () =>
  filePath()
    .optional()
    .describe(
      'File that holds the password, a line break at its end aside; read anew for each connection, so that a new one is used from the next on. Instead of `password`.',
    );
