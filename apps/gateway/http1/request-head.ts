/**
 * The head of an HTTP/1.1 request (RFC 9112 §3–6). Strict wherever laxness would let the gateway and a backend, or a
 * proxy before us, disagree about where a request ends: that is how requests are smuggled.
 */
import { GatewayError } from '@llmproxy/errors';

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
const badName = /[^!#$%&'*+\-.^_`|~0-9A-Za-z]/;
const badValue = /[\x00-\x08\x0a-\x1f\x7f]/;

interface Noted {
  length: string | undefined;
  coding: string | undefined;
  connection: string;
  expect: string;
}

/**
 * Reads a head.
 * @param text request line and headers, one character per byte, without the empty line that ends them
 * @throws GatewayError `invalid_request`, saying which rule is broken
 */
export function parseRequestHead(text: string): RequestHead {
  const lines = text.split('\r\n');
  const [, method, target, minor] = requestLine.exec(lines[0] ?? '') ?? [];
  if (method === undefined || target === undefined)
    throw malformed('its first line is not "METHOD /path HTTP/1.1"');
  const rawHeaders: string[] = [];
  const noted: Noted = { length: undefined, coding: undefined, connection: '', expect: '' };
  for (let i = 1; i < lines.length; i++) readHeader(lines[i] as string, rawHeaders, noted);
  const isHttp11 = minor === '1';
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

function readHeader(line: string, rawHeaders: string[], noted: Noted): void {
  const colon = line.indexOf(':');
  const name = line.slice(0, colon);
  if (colon <= 0 || badName.test(name)) throw malformed('a header line has no proper name');
  const value = line.slice(colon + 1).trim();
  if (badValue.test(value)) throw malformed('a header holds a control character');
  rawHeaders.push(name, value);
  // Only these lengths can be names that matter; most headers are done here.
  if (name.length === 14 || name.length === 17 || name.length === 10 || name.length === 6)
    note(name, value, noted);
}

function note(name: string, value: string, noted: Noted): void {
  switch (name.toLowerCase()) {
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
    case 'expect':
      noted.expect = value.toLowerCase();
      break;
    default:
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
