/** The copy on disk: hashes and records, no secret. Written as a whole or not at all, readable by its owner only. */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { KeyCopy } from './core/compare.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const CopyFile = z.strictObject({
  version: z.literal(1),
  latest: z.string().optional(),
  records: z.record(sha256, z.string()),
  removed: z.record(sha256, z.iso.datetime()),
  doubtful: z.array(sha256),
});

/** Where a scheduler with this `data_dir` keeps it. */
export const copyFileIn = (dataDir: string): string => join(dataDir, 'keys', 'records.json');

/**
 * Undefined when there is none yet.
 * @throws Error when there is one that cannot be read
 */
export async function readCopy(path: string): Promise<KeyCopy | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
  const { data } = CopyFile.safeParse(parsed(text));
  if (data === undefined) throw new Error(`${path} is no copy of keys`);
  return {
    latest: data.latest,
    records: new Map(Object.entries(data.records)),
    removed: new Map(Object.entries(data.removed)),
    doubtful: new Set(data.doubtful),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The copy as the text of its file. */
export function textOf(copy: KeyCopy): string {
  const file: z.input<typeof CopyFile> = {
    version: 1,
    ...(copy.latest === undefined ? {} : { latest: copy.latest }),
    records: Object.fromEntries(copy.records),
    removed: Object.fromEntries(copy.removed),
    doubtful: [...copy.doubtful],
  };
  return `${JSON.stringify(file, null, 1)}\n`;
}

/** @throws the file system's error; what was there before is there still then */
export async function writeCopy(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const beside = `${path}.${process.pid}`;
  const handle = await open(beside, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(beside, path);
}
