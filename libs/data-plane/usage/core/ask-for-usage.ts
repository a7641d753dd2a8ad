/** Makes a streamed OpenAI request ask for its usage, changing no byte that need not change. */
import { OPEN_OBJECT } from './json-bytes.ts';
import type { RequestScan } from './request-scan.ts';

const OPTION = '"include_usage":true';

/**
 * The body to send instead of `body`, so that the stream ends with a usage chunk. `asked` is true when the client
 * had not asked, and then the chunk is ours to hide. A request that is not streamed, already asks, or gives the
 * option a value of the wrong type, stays the same buffer. Only for paths that know `stream_options`
 * (chat/completions, completions). Costs one copy of the body.
 * @param scan what `scanRequest` found in this same `body`
 */
export function askForUsage(
  body: Buffer,
  scan: RequestScan,
): { readonly body: Buffer; readonly asked: boolean } {
  const edit = scan.stream ? editFor(body, scan) : null;
  if (edit === null) return { body, asked: false };
  const { at, cut, insert } = edit;
  const longer = Buffer.allocUnsafe(body.length + insert.length - cut);
  body.copy(longer, 0, 0, at);
  longer.write(insert, at, 'latin1');
  body.copy(longer, at + insert.length, at + cut);
  return { body: longer, asked: true };
}

/** Remove `cut` bytes at `at`, then put `insert` there. */
interface Edit {
  readonly at: number;
  readonly cut: number;
  readonly insert: string;
}

function editFor(body: Buffer, { stream_options: options }: RequestScan): Edit | null {
  if (options === null) {
    // A body that says `stream: true` has a member, so the comma is never one too many.
    return { at: body.indexOf(OPEN_OBJECT) + 1, cut: 0, insert: `"stream_options":{${OPTION}},` };
  }
  if (options.kind === 'null') {
    return { at: options.start, cut: options.end - options.start, insert: `{${OPTION}}` };
  }
  if (options.kind === 'other') return null;
  const asked = options.include_usage;
  if (asked === null) {
    return { at: options.start + 1, cut: 0, insert: options.isEmpty ? OPTION : `${OPTION},` };
  }
  const isOff = asked.value === false || asked.isNull;
  return isOff ? { at: asked.start, cut: asked.end - asked.start, insert: 'true' } : null;
}
