/** Lets an observer read a compressed body while the client gets the compressed bytes untouched. */
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import type { Transform } from 'node:stream';
import type { AnswerObserver } from './relay.ts';

const decoders: Record<string, () => Transform> = {
  gzip: () => createGunzip(),
  'x-gzip': () => createGunzip(),
  deflate: () => createInflate(),
  br: () => createBrotliDecompress(),
  zstd: () => createZstdDecompress(),
};

const nothing: readonly Buffer[] = [];

/**
 * Wraps `observer` so that it sees the decoded bytes. What it would hide is not hidden: bytes inside a compressed body
 * cannot be taken out. An encoding we do not know is not observed at all.
 */
export function observeDecoded(
  observer: AnswerObserver,
  encoding: string,
): AnswerObserver & { finished?(): Promise<void> } {
  const decoder = decoders[encoding]?.();
  if (!decoder) return { push: (chunk) => [chunk], end: () => nothing };
  let healthy = true;
  const finished = new Promise<void>((resolve) => {
    decoder.on('data', (chunk: Buffer) => void observer.push(chunk));
    decoder.on('error', () => {
      healthy = false; // cut off or not what its header says: what was decoded counts, the bytes still go through
      observer.end();
      resolve();
    });
    decoder.on('end', () => {
      observer.end();
      resolve();
    });
  });
  return {
    push: (chunk) => {
      if (healthy) decoder.write(chunk);
      return [chunk];
    },
    end: () => {
      if (healthy) decoder.end();
      return nothing;
    },
    finished: () => finished,
  };
}
