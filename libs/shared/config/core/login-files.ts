import type { ClientTls } from './schema/tls.ts';

/** Who we are to a server, and how we know it. */
export interface Login {
  username?: string | undefined;
  password?: string | undefined;
  password_file?: string | undefined;
  tls?: ClientTls | undefined;
}

/** A block with the files of its login made absolute. */
export function withFiles<T extends Pick<Login, 'password_file' | 'tls'>>(
  block: T,
  absolute: (path: string) => string,
): T {
  const file = (path: string | undefined) => (path === undefined ? undefined : absolute(path));
  const { password_file, tls } = block;
  return {
    ...block,
    ...(password_file === undefined ? {} : { password_file: file(password_file) }),
    ...(tls === undefined
      ? {}
      : {
          tls: {
            ...tls,
            ca_file: file(tls.ca_file),
            cert_file: file(tls.cert_file),
            key_file: file(tls.key_file),
          },
        }),
  };
}
