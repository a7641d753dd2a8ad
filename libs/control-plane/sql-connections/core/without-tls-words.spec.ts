import { expect, test } from 'vitest';
import { withoutTlsWords } from './without-tls-words.ts';

test.each([
  ['postgres://u:p%3F@h:1/db', 'postgres://u:p%3F@h:1/db'],
  ['postgres://h/db?sslmode=verify-ca&sslrootcert=/ca.pem', 'postgres://h/db'],
  ['postgres://h/db?sslmode=require&host=%2Ftmp&sslcert=a&sslkey=b', 'postgres://h/db?host=%2Ftmp'],
  ['postgres://h/db?application_name=sslmode', 'postgres://h/db?application_name=sslmode'],
])('%s', (url, left) => expect(withoutTlsWords(url)).toBe(left));
