/** Everything that is stored somewhere, as text to search. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { closeRedis, connectRedis } from '@llmproxy/redis';

/** Names, types and values of all keys of a Redis database. */
export async function redisContents(url: string): Promise<string> {
  const redis = connectRedis({ url, connectionName: 'tests', whenDown: 'queue' });
  const readers: Record<string, (key: string) => Promise<unknown>> = {
    string: (key) => redis.get(key),
    hash: (key) => redis.hgetall(key),
    list: (key) => redis.lrange(key, 0, -1),
    set: (key) => redis.smembers(key),
    zset: (key) => redis.zrange(key, 0, -1, 'WITHSCORES'),
    stream: (key) => redis.xrange(key, '-', '+'),
  };
  try {
    const lines: string[] = [];
    for (const key of await redis.keys('*')) {
      const type = await redis.type(key);
      if (type === 'none') continue; // it has just expired
      const read = readers[type];
      if (!read) throw new Error(`no reader for a Redis ${type}`);
      lines.push(`${key} ${type} ${JSON.stringify(await read(key))}`);
    }
    return lines.join('\n');
  } finally {
    await closeRedis(redis);
  }
}

/** All rows of all tables of an SQLite file, and how they were created. */
export function sqliteContents(path: string): string {
  const db = new DatabaseSync(path, { readOnly: true, timeout: 2_000 });
  try {
    const tables = db.prepare('select name, sql from sqlite_master where type = ?').all('table');
    return tables
      .map((table) => JSON.stringify([table, db.prepare(`select * from "${String(table['name'])}"`).all()]))
      .join('\n');
  } finally {
    db.close();
  }
}

/** The text of all files under a folder, with their names. */
export function folderContents(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => `${name}\n${readFileSync(join(parentPath, name), 'latin1')}`)
    .join('\n');
}
