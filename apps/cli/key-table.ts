/** Keys as a table for people. */
import { keyIdOfHash, type KeyRecord, type StoredKey } from '@llmproxy/key-store';

const heads = ['ID', 'NAME', 'KEY', 'USER', 'STATUS', 'MODELS', 'QUOTA', 'EXPIRES', 'CREATED'];

/** One line per key, the oldest first, under one of heads. */
export function keyTable(keys: readonly StoredKey[]): string[] {
  const byAge = keys.toSorted((a, b) => ageOf(a).localeCompare(ageOf(b)));
  const rows = [heads, ...byAge.map(cellsOf)];
  const widths = heads.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

const ageOf = ({ record }: StoredKey): string => record?.created_at ?? '';

function cellsOf({ sha256, ...found }: StoredKey): string[] {
  const id = keyIdOfHash(sha256);
  if (found.record === undefined) return [id, `(unreadable: ${found.unreadable})`];
  const { name, masked_key, user_id, status, allowed_models = [], expires_at, created_at } = found.record;
  const models = allowed_models.length === 0 ? 'all' : allowed_models.join(',');
  const cells = [
    name,
    masked_key,
    user_id ?? '-',
    status,
    models,
    quotaOf(found.record),
    expires_at ?? 'never',
  ];
  return [id, ...cells.map(printable), created_at];
}

function quotaOf({ total_quota, quota_reset_period = 'never' }: KeyRecord): string {
  if (total_quota === undefined || total_quota < 0) return 'unlimited';
  return quota_reset_period === 'never' ? String(total_quota) : `${total_quota} ${quota_reset_period}`;
}

/** Whoever names a key must not steer the terminal of whoever lists it. */
const printable = (text: string): string => text.replace(/\p{Cc}/gu, '?');
