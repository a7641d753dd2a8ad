/**
 * The head of an HTTP/1.1 answer, and how its body is framed (RFC 9112 §4–6). Strict where laxness lets two readers
 * disagree about where a message ends: conflicting lengths, unknown codings and folded lines are malformed.
 */
import { HeadMemory, headerReader } from './head-memory.ts';

export type Framing =
  { kind: 'none' } | { kind: 'length'; bytes: number } | { kind: 'chunked' } | { kind: 'until-close' };

export interface ResponseStart {
  readonly status: number;
  /** One character per byte. */
  readonly statusText: string;
  readonly rawHeaders: string[];
  readonly framing: Framing;
  /** Whether the connection may carry another request after this answer. */
  readonly keepAlive: boolean;
  /** How long the backend keeps an idle connection, in ms, when it says so (`Keep-Alive: timeout=5`). */
  readonly idleMs: number | null;
}

/** Bytes that are no HTTP/1.1 answer; the message names the rule that they break. */
export class MalformedAnswer extends Error {
  readonly code = 'MALFORMED_ANSWER';

  constructor(what: string) {
    super(`the backend's answer is not valid HTTP/1.1: ${what}`);
    this.name = 'MalformedAnswer';
  }
}

const statusLine = /^HTTP\/1\.([01]) (\d{3})(?: (.*))?$/;
/** Bytes that no header value may hold, and that could not be sent on. */
const badValue = /[\0\r\n]/;
const unsendable = /[\x00-\x08\x0a-\x1f\x7f]/;

/** What the headers say that decides the framing. */
interface Noted {
  lengths: string[];
  codings: string[];
  connection: string;
  idleMs: number | null;
}

interface StatusLine {
  readonly text: string;
  readonly minor: string | undefined;
  readonly status: number;
  readonly reason: string;
}

/** Of the heads of one backend. */
export const createAnswerMemory = (): HeadMemory<StatusLine> =>
  new HeadMemory({ first: readStatusLine, header: readHeader });

/**
 * Reads a head.
 * @param text status line and headers, one character per byte, without the empty line that ends them
 * @param method of the request that is answered
 * @throws MalformedAnswer
 */
export function parseResponseStart(
  text: string,
  method: string,
  memory = createAnswerMemory(),
): ResponseStart {
  const { first, headers } = memory.read(text);
  const { minor, status, reason } = first;
  const rawHeaders: string[] = [];
  const noted: Noted = { lengths: [], codings: [], connection: '', idleMs: null };
  for (const header of headers) {
    rawHeaders.push(header.name, header.value);
    if (header.noted !== '') note(header.noted, header.value, noted);
  }
  const framing = framingOf(status, method, noted);
  return {
    status,
    statusText: reason,
    rawHeaders,
    framing,
    // After HEAD some servers send a body all the same, which the next answer would begin with.
    keepAlive: method !== 'HEAD' && framing.kind !== 'until-close' && isPersistent(minor, noted),
    idleMs: noted.idleMs,
  };
}

function readStatusLine(text: string): StatusLine {
  const [, minor, digits, reason = ''] = statusLine.exec(text) ?? [];
  if (digits === undefined) throw new MalformedAnswer('no status line');
  return { text, minor, status: Number(digits), reason: unsendable.test(reason) ? '' : reason };
}

/** Not when both a length and a coding stand there: who sent it may see its end elsewhere than we do. */
function isPersistent(minor: string | undefined, { connection, lengths, codings }: Noted): boolean {
  if (lengths.length > 0 && codings.length > 0) return false;
  return minor === '1' ? !connection.includes('close') : connection.includes('keep-alive');
}

const readHeader = headerReader({
  badValue,
  noted: new Set(['content-length', 'transfer-encoding', 'keep-alive', 'connection']),
  malformed: (part) =>
    new MalformedAnswer(
      part === 'name' ? 'a header line without a proper name' : 'a control character in a header',
    ),
});

function note(name: string, value: string, noted: Noted): void {
  switch (name) {
    case 'content-length':
      noted.lengths.push(...value.split(',').map((length) => length.trim()));
      break;
    case 'transfer-encoding':
      noted.codings.push(
        ...value
          .toLowerCase()
          .split(',')
          .map((coding) => coding.trim()),
      );
      break;
    case 'keep-alive': {
      const [, seconds] = /timeout=(\d{1,6})/i.exec(value) ?? [];
      if (seconds !== undefined) noted.idleMs = Number(seconds) * 1000;
      break;
    }
    default:
      noted.connection += `,${value.toLowerCase()}`;
  }
}

function framingOf(status: number, method: string, noted: Noted): Framing {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return { kind: 'none' };
  const { codings, lengths } = noted;
  if (codings.length > 1 || (codings.length === 1 && codings[0] !== 'chunked')) {
    throw new MalformedAnswer('a Transfer-Encoding other than chunked');
  }
  if (codings.length === 1) return { kind: 'chunked' };
  return lengths.length === 0 ? { kind: 'until-close' } : countedBy(lengths);
}

function countedBy(lengths: readonly string[]): Framing {
  const length = lengths[0] ?? '';
  if (!/^\d{1,15}$/.test(length)) throw new MalformedAnswer('a Content-Length that is no number');
  if (lengths.some((other) => other !== length)) throw new MalformedAnswer('two Content-Lengths that differ');
  const bytes = Number(length);
  return bytes === 0 ? { kind: 'none' } : { kind: 'length', bytes };
}
