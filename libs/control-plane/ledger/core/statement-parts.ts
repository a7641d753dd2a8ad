/** Cuts rows into statements that a server takes. */
import type { UsageRow } from './usage-row.ts';

/** Type, sign, place in the bitmap of nulls, and length of a value in MySQL's protocol, the largest of the three. */
const valueOverheadBytes = 4 + 9;
const numberBytes = 8;

/** What a statement takes beside its rows. */
export const statementOverheadBytes = 32;

/** The most bytes that a row takes as parameters of a statement. */
export function rowBytes(row: UsageRow): number {
  let bytes = 0;
  for (const value of Object.values(row) as UsageRow[keyof UsageRow][]) {
    bytes += valueOverheadBytes + (typeof value === 'string' ? Buffer.byteLength(value) : numberBytes);
  }
  return bytes;
}

export interface Sized {
  /** At least 0. */
  readonly bytes: number;
}

/** The rows in their order; a part holds at least one, and only then more than `bytesMax`. */
export function* inParts<Row extends Sized>(
  rows: Iterable<Row>,
  { rowsMax, bytesMax }: { rowsMax: number; bytesMax: number },
): Generator<Row[]> {
  let part: Row[] = [];
  let bytes = 0;
  for (const row of rows) {
    if (part.length > 0 && (part.length >= rowsMax || bytes + row.bytes > bytesMax)) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(row);
    bytes += row.bytes;
  }
  if (part.length > 0) yield part;
}
