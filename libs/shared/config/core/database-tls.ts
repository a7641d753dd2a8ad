/**
 * How a connection to a SQL server is encrypted and the server known: from `tls` and `sslmode`, or, for PostgreSQL, from the
 * words of libpq in the `dsn`. Pure; the files are looked into elsewhere.
 */
import type { Finding } from './check-links.ts';
import type { Path } from './read-yaml.ts';
import type { ConfigFile } from './schema/config-file.ts';
import type { ClientTls } from './schema/tls.ts';

type Entry = ConfigFile['storage']['databases'][number];

/** What is verified of a server: chain and name of its certificate, the chain only, or nothing. */
export type Verify = 'full' | 'ca' | 'none';

export type DatabaseTls = ClientTls & { readonly verify: Verify };

const verified: Readonly<Record<string, Verify>> = {
  'no-verify': 'none',
  require: 'full', // as the driver of Node.js has it; libpq verifies nothing here
  'verify-ca': 'ca',
  'verify-full': 'full',
};

const fileWords = { sslrootcert: 'ca_file', sslcert: 'cert_file', sslkey: 'key_file' } as const;
const understood = new Set(['sslmode', ...Object.keys(fileWords)]);
/** Words of the driver for MySQL; all others would be passed over, or mean something else than here. */
const mysqlWords = new Set(['socketPath', 'localAddress', 'compress', 'enableCleartextPlugin']);
/** Words of libpq or of the driver that would be passed over, or mean something else than here. */
const notHonoured = /^(ssl|uselibpqcompat$|channel_binding$|target_session_attrs$|gssencmode$)/;

/** Undefined: the connection is not encrypted. */
export function databaseTls(entry: Entry): DatabaseTls | undefined {
  const { sslmode, files } = spelled(entry);
  const mode = sslmode ?? (files === undefined ? 'disable' : 'verify-full');
  const verify = verified[mode];
  return verify && { ...files, verify };
}

/** The files that the `dsn` names, as a `tls` block would. */
export function tlsOfDsn({ dsn, driver }: Entry): ClientTls | undefined {
  if (driver !== 'postgres' || dsn === undefined) return undefined;
  const words = wordsOf(dsn);
  const files = Object.entries(fileWords).flatMap(([word, setting]) => {
    const path = words.get(word);
    // The system's authorities are what is taken when no file is named.
    return path === undefined || (word === 'sslrootcert' && path === 'system') ? [] : [[setting, path]];
  });
  return files.length === 0 ? undefined : (Object.fromEntries(files) as ClientTls);
}

/** The word of the `dsn` that names this file, or has to. */
export const dsnWordOf = (setting: string): string =>
  Object.entries(fileWords).find(([, named]) => named === setting)?.[0] ?? setting;

export function checkDatabaseTls(entry: Entry, at: Path): Finding[] {
  const words = entry.driver === 'postgres' ? wordsOf(entry.dsn ?? '') : new Map<string, string>();
  return [
    ...(entry.driver === 'mysql' ? strangeMysqlWords(entry, at) : strangeWords(words, at)),
    ...twice(entry, words, at),
    ...modeProblems(entry, at),
    ...halfOfPair(words, at),
  ];
}

function strangeWords(words: ReadonlyMap<string, string>, at: Path): Finding[] {
  const path = [...at, 'dsn'];
  const strange = [...words.keys()].filter((word) => notHonoured.test(word) && !understood.has(word));
  const found = strange.map((word): Finding => {
    const cure = word === 'ssl' ? 'write sslmode' : 'remove it';
    return { path, message: `${word} is not something that this version can honour: ${cure}` };
  });
  const mode = words.get('sslmode');
  if (mode === 'allow' || mode === 'prefer') {
    const message = `sslmode=${mode} could send everything in the clear: write disable, no-verify, require, verify-ca or verify-full`;
    found.push({ path, message });
  } else if (mode !== undefined && mode !== 'disable' && !(mode in verified)) {
    found.push({ path, message: 'sslmode: expected disable, no-verify, require, verify-ca or verify-full' });
  }
  return found;
}

/** What the driver would not look at, or, with `ssl`, verify no name by. */
function strangeMysqlWords({ dsn = '' }: Entry, at: Path): Finding[] {
  const strange = [...wordsOf(dsn).keys()].filter((word) => !mysqlWords.has(word));
  return strange.map((word) => {
    const cure = /ssl|tls/i.test(word) ? 'write the settings sslmode and tls' : 'remove it';
    return {
      path: [...at, 'dsn'],
      message: `${word} is not something that this version can honour: ${cure}`,
    };
  });
}

/** What the `dsn` says already. */
function twice(entry: Entry, words: ReadonlyMap<string, string>, at: Path): Finding[] {
  const fileWord = Object.keys(fileWords).find((word) => words.has(word));
  const said = { tls: fileWord, sslmode: words.has('sslmode') ? 'sslmode' : undefined };
  return (['tls', 'sslmode'] as const).flatMap((setting): Finding[] => {
    const word = said[setting];
    if (word === undefined || entry[setting] === undefined) return [];
    const message = `the dsn says ${word} too: write them in one place`;
    return [{ path: [...at, setting], message, at: 'key' }];
  });
}

/** A mode that makes files useless, or that needs one. */
function modeProblems(entry: Entry, at: Path): Finding[] {
  const { sslmode, files } = spelled(entry);
  const path = [...at, entry.sslmode === undefined ? 'dsn' : 'sslmode'];
  if (sslmode === 'disable' && files !== undefined) {
    return [{ path, message: 'sslmode disable looks at no certificate: leave it out, or the files' }];
  }
  if (sslmode === 'no-verify' && files?.ca_file !== undefined) {
    return [{ path, message: 'sslmode no-verify asks no authority: write verify-ca, or leave its file out' }];
  }
  if (sslmode === 'verify-ca' && files?.ca_file === undefined) {
    // Anybody has a certificate by an authority that all trust.
    return [
      { path, message: 'sslmode verify-ca needs a file of authorities: name one, or write verify-full' },
    ];
  }
  return [];
}

/** Of a certificate and its key, the one that the `dsn` does not name. */
function halfOfPair(words: ReadonlyMap<string, string>, at: Path): Finding[] {
  if (words.has('sslcert') === words.has('sslkey')) return [];
  const [missing, given] = words.has('sslcert') ? ['sslkey', 'sslcert'] : ['sslcert', 'sslkey'];
  return [{ path: [...at, 'dsn'], message: `${missing} is required with ${given}` }];
}

/** What is given, wherever it is spelled. */
function spelled(entry: Entry): { sslmode: string | undefined; files: ClientTls | undefined } {
  const words = entry.driver === 'postgres' ? wordsOf(entry.dsn ?? '') : new Map<string, string>();
  return { sslmode: entry.sslmode ?? words.get('sslmode'), files: entry.tls ?? tlsOfDsn(entry) };
}

function wordsOf(dsn: string): Map<string, string> {
  const at = dsn.indexOf('?');
  return new Map(new URLSearchParams(at < 0 ? '' : dsn.slice(at + 1)));
}
