/**
 * The head of an HTTP/1.1 request (RFC 9112 §3–6). Strict wherever laxness would let the gateway and a backend, or a
 * proxy before us, disagree about where a request ends: that is how requests are smuggled.
 */
import { GatewayError } from '@llmproxy/errors';
import { HeadMemory, headerReader } from '@llmproxy/forwarding';

export interface RequestHead {
  readonly method: string;
  readonly target: string;
  /** Names and values in turn, as they stood on the wire. */
  readonly rawHeaders: string[];
  readonly framing: { kind: 'none' } | { kind: 'length'; bytes: number } | { kind: 'chunked' };
  /** HTTP/1.1, whose clients understand chunks. */
  readonly isHttp11: boolean;
  readonly keepAlive: boolean;
  readonly expectsContinue: boolean;
}

const requestLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.([01])$/;
const badValue = /[\x00-\x08\x0a-\x1f\x7f]/;

interface Noted {
  length: string | undefined;
  coding: string | undefined;
  connection: string;
  expect: string;
}

interface RequestLine {
  readonly text: string;
  readonly method: string;
  readonly target: string;
  readonly isHttp11: boolean;
}

/** Of the heads of one connection. */
export const createRequestMemory = (): HeadMemory<RequestLine> =>
  new HeadMemory({ first: readRequestLine, header: readHeader });

/**
 * Reads a head.
 * @param text request line and headers, one character per byte, without the empty line that ends them
 * @throws GatewayError `invalid_request`, saying which rule is broken
 */
export function parseRequestHead(text: string, memory = createRequestMemory()): RequestHead {
  const { first, headers } = memory.read(text);
  const { method, target, isHttp11 } = first;
  const rawHeaders: string[] = [];
  const noted: Noted = { length: undefined, coding: undefined, connection: '', expect: '' };
  for (const header of headers) {
    rawHeaders.push(header.name, header.value);
    if (header.noted !== '') note(header.noted, header.value, noted);
  }
  return {
    method,
    target,
    rawHeaders,
    framing: framingOf(noted, isHttp11),
    isHttp11,
    keepAlive: isHttp11 ? !noted.connection.includes('close') : noted.connection.includes('keep-alive'),
    expectsContinue: isHttp11 && noted.expect === '100-continue',
  };
}

function readRequestLine(text: string): RequestLine {
  const [, method, target, minor] = requestLine.exec(text) ?? [];
  if (method === undefined || target === undefined)
    throw malformed('its first line is not "METHOD /path HTTP/1.1"');
  return { text, method, target, isHttp11: minor === '1' };
}

const readHeader = headerReader({
  badValue,
  noted: new Set(['content-length', 'transfer-encoding', 'connection', 'expect']),
  malformed: (part) =>
    malformed(part === 'name' ? 'a header line has no proper name' : 'a header holds a control character'),
});

function note(name: string, value: string, noted: Noted): void {
  switch (name) {
    case 'content-length':
      if (noted.length !== undefined) throw malformed('it has more than one Content-Length');
      noted.length = value;
      break;
    case 'transfer-encoding':
      if (noted.coding !== undefined) throw malformed('it has more than one Transfer-Encoding');
      noted.coding = value.toLowerCase();
      break;
    case 'connection':
      noted.connection += `,${value.toLowerCase()}`;
      break;
    default:
      noted.expect = value.toLowerCase();
  }
}

function framingOf({ length, coding }: Noted, isHttp11: boolean): RequestHead['framing'] {
  if (coding !== undefined) {
    if (length !== undefined) throw malformed('it has a Content-Length beside Transfer-Encoding');
    if (coding !== 'chunked' || !isHttp11) throw malformed('its Transfer-Encoding is not chunked');
    return { kind: 'chunked' };
  }
  if (length === undefined) return { kind: 'none' };
  if (!/^\d{1,15}$/.test(length)) throw malformed('its Content-Length is no number');
  const bytes = Number(length);
  return bytes === 0 ? { kind: 'none' } : { kind: 'length', bytes };
}

function malformed(why: string): GatewayError {
  return new GatewayError('invalid_request', `The request is not valid HTTP/1.1: ${why}.`);
}
