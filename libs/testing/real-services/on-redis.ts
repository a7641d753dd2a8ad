import { Redis } from 'ioredis';

/** Asks a Redis something on a connection of its own. */
export async function onRedis<T>(url: string, ask: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = url.startsWith('unix:') ? new Redis(socketOptions(url)) : new Redis(url);
  redis.on('error', () => undefined); // the command tells
  try {
    return await ask(redis);
  } finally {
    redis.disconnect();
  }
}

function socketOptions(url: string) {
  const { pathname, searchParams } = new URL(url);
  return { path: decodeURIComponent(pathname), db: Number(searchParams.get('db') ?? 0) };
}
