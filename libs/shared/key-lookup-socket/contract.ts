/**
 * `POST /lookup` with a `LookupRequest`; the answer is 200 and a `LookupAnswer`, or another status and a `LookupRefusal`.
 * The key travels in the body, over a socket that only one user may open, and appears in no answer.
 */
import { z } from 'zod';

export const lookupPath = '/lookup';

export const LookupRequest = z.strictObject({
  /** Name of the provider in `auth.pipeline`. */
  provider: z.string(),
  /** What the client presented. */
  key: z.string(),
});
export type LookupRequest = z.output<typeof LookupRequest>;

/** A row, by column. Times are RFC 3339; integers that a double cannot hold and decimals are text. */
export const FoundKey = z.record(z.string(), z.unknown());
export type FoundKey = Readonly<z.output<typeof FoundKey>>;

export const LookupAnswer = z.object({ found: FoundKey.nullable() });
export type LookupAnswer = { found: FoundKey | null };

export const LookupRefusal = z.object({ error: z.string() });
export type LookupRefusal = z.output<typeof LookupRefusal>;

/** Longer questions and answers are refused: neither a key nor its row comes near these. */
export const requestBytesMax = 16 * 1024;
export const answerBytesMax = 1024 * 1024;
