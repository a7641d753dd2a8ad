/** Passwords and certificates in files: read when a config is checked, and again for each connection. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { TlsTexts } from '@llmproxy/client-login';
import type { DeepReadonly } from './core/deep-readonly.ts';
import type { ClientTls } from './core/schema/tls.ts';
import { readText } from './read-text.ts';

/** What is wrong with a file, by the setting that names it. */
export interface FileFault {
  readonly setting: string;
  /** Never repeats what the file holds, nor its name. */
  readonly message: string;
}

/**
 * The password in a file, without the line break at its end.
 * @throws Error naming the file, when it cannot be read or holds none
 */
export function readPassword(path: string): string {
  const read = passwordIn(path);
  if (typeof read === 'string') return read;
  throw new Error(`${path}: ${read.message}`);
}

/**
 * Reads the files of a `tls` block with each call; undefined without such a block. The function
 * @throws Error naming the file, when one cannot be read or does not hold what it should
 */
export function tlsReader(tls: DeepReadonly<ClientTls> | undefined): (() => TlsTexts) | undefined {
  return tls && (() => readTls(tls));
}

function readTls(tls: DeepReadonly<ClientTls>): TlsTexts {
  const { texts, faults } = lookInto(tls);
  const [fault] = faults;
  if (fault === undefined) return texts;
  throw new Error(`${tls[fault.setting as FileSetting]}: ${fault.message}`);
}

/** What is wrong with the files that these settings name. */
export function loginFaults(settings: { password_file?: string | undefined; tls?: ClientTls | undefined }): {
  password: FileFault[];
  tls: FileFault[];
} {
  const { password_file, tls } = settings;
  const password = password_file === undefined ? '' : passwordIn(password_file);
  return {
    password: typeof password === 'string' ? [] : [password],
    tls: tls === undefined ? [] : lookInto(tls).faults,
  };
}

function passwordIn(path: string): string | FileFault {
  const text = readText(path, 'the file of the password');
  if (typeof text !== 'string') return { setting: 'password_file', message: text.message };
  const password = text.replace(/\r?\n$/, '');
  return password === ''
    ? { setting: 'password_file', message: 'the file of the password is empty' }
    : password;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type FileSetting = 'ca_file' | 'cert_file' | 'key_file';

const kinds = {
  ca_file: { as: 'ca', what: 'the file of authorities', content: 'certificates', parse: certificatesIn },
  cert_file: {
    as: 'cert',
    what: 'the file of the certificate',
    content: 'certificates',
    parse: certificatesIn,
  },
  key_file: {
    as: 'key',
    what: 'the file of the private key',
    content: 'a private key without a passphrase',
    parse: createPrivateKey,
  },
} as const;

function lookInto(tls: DeepReadonly<ClientTls>): { texts: TlsTexts; faults: FileFault[] } {
  const texts: Writable<TlsTexts> = tls.server_name === undefined ? {} : { servername: tls.server_name };
  const faults: FileFault[] = [];
  for (const setting of Object.keys(kinds) as FileSetting[]) {
    const path = tls[setting];
    if (path === undefined) continue;
    const { as, what, content, parse } = kinds[setting];
    const text = readText(path, what);
    if (typeof text !== 'string') faults.push({ setting, message: text.message });
    else if (errorOf(() => parse(text)) === undefined) texts[as] = text;
    else faults.push({ setting, message: `${what} does not hold ${content} in PEM` });
  }
  return { texts, faults: faults.length > 0 ? faults : faultsTogether(texts) };
}

/** What OpenSSL says of texts that are right on their own. */
function faultsTogether({ servername: _, ...texts }: TlsTexts): FileFault[] {
  const error = errorOf(() => createSecureContext(texts));
  if (error === undefined) return [];
  const { code = 'unknown' } = error as NodeJS.ErrnoException;
  const message =
    code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH'
      ? 'the private key is not that of the certificate'
      : `cannot be used for TLS (${code})`;
  return [{ setting: texts.key === undefined ? 'ca_file' : 'key_file', message }];
}

const certificate = /-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs;

/** Node.js takes a text without any certificate for an empty list of them, and trusts nobody. */
function certificatesIn(text: string): X509Certificate[] {
  const found = text.match(certificate)?.map((pem) => new X509Certificate(pem));
  if (found === undefined) throw new Error('no certificate');
  return found;
}

function errorOf(attempt: () => unknown): unknown {
  try {
    attempt();
    return undefined;
  } catch (cause) {
    return cause;
  }
}
