/**
 * Who we are to Redis, read anew for each connection: a password or a certificate that was replaced is used from the next
 * connection on, by whichever of them that is. ioredis reads `username`, `password` and `tls` of its options each time
 * that it connects, and copies them to the connections it makes by itself.
 */
import { lastingly, type TlsTexts } from '@llmproxy/client-login';
import type { RedisOptions } from 'ioredis';
import type { RedisTarget } from './target.ts';
import type { RedisLog } from './tell.ts';

type LoginOptions = Pick<RedisOptions, 'username' | 'password' | 'tls'>;

/** What connections to one target are opened with; undefined members leave what the URL says. */
export interface Login {
  readonly username: string | undefined;
  password(): string | undefined;
  tls(): TlsTexts | undefined;
}

/** @throws what the target throws, when something cannot be read from the start */
export function openLogin({ username, password, tls }: RedisTarget, log: RedisLog = () => undefined): Login {
  const tell = (reason: string) => log('warn', `connecting to Redis: ${reason}`);
  return {
    username,
    password: password === undefined ? () => undefined : lastingly(password, tell),
    tls: tls === undefined ? () => undefined : lastingly(tls, tell),
  };
}

/** The same object, its login replaced by one that is asked for each time it is looked at. */
export function withLogin<T extends LoginOptions>(options: T, login: Login): T {
  const { username, password, tls } = options;
  const property = (get: () => unknown) => ({ get, enumerable: true, configurable: true });
  return Object.defineProperties(options, {
    username: property(() => login.username ?? username),
    password: property(() => login.password() ?? password),
    tls: property(() => login.tls() ?? tls),
  });
}

/**
 * The error of a refused login carries the password among its arguments, and what waited for the connection is rejected
 * with the same error: to be called by the first who hears of it.
 */
export function forgetLogin(error: Error): void {
  if ('command' in error) delete error.command;
}
