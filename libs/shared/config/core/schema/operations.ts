import { z } from 'zod';
import { enabled, filePath, redisUrls, urlPath } from './leaves.ts';
import { clientTls, passwordFile } from './tls.ts';

/** Who we are to a Redis, beside what its URL says. */
export const redisLogin = {
  username: z
    .string()
    .min(1)
    .optional()
    .describe('User of the ACL of Redis. Unset: the one in the URL, or `default`.'),
  password: z.string().min(1).optional().describe('Password. Better `${ENV}` or a file than plain text.'),
  password_file: passwordFile(),
  tls: clientTls('How a server at `rediss://` is known, and our certificate for it.'),
};

export const Redis = z
  .strictObject({
    url: redisUrls()
      .optional()
      .describe(
        'The Redis server. Default: the environment variable `LLMPROXY_REDIS_URL`. With neither, `llmproxy start` runs its own and the single apps refuse to start.',
      ),
    cluster: z
      .boolean()
      .default(false)
      .describe(
        'Whether it is a Redis Cluster. The URL is then one of its servers, or several of them with commas between.',
      ),
    ...redisLogin,
    allow_eviction: z
      .boolean()
      .default(false)
      .describe(
        'Whether keys and events are entrusted to a Redis that may evict them (`maxmemory-policy allkeys-*` with a `maxmemory`). Without it events wait on disk while the server is like that, and no keys are made.',
      ),
  })
  .prefault({})
  .describe('Where shared state and the usage queue live.');

export const Log = z
  .strictObject({
    level: z
      .enum(['debug', 'info', 'warn', 'error'])
      .default('info')
      .describe('The least important lines to write.'),
  })
  .prefault({})
  .describe("The system log: JSON lines on standard output about the gateway's own doings.");

const Access = z
  .strictObject({
    enabled: enabled('Write one line per request.'),
    format: z
      .enum(['json', 'combined'])
      .default('json')
      .describe('`combined` is the format of nginx and Apache.'),
    output: z.enum(['stdout', 'stderr', 'file']).default('stdout').describe('Where the lines go.'),
    file: z
      .strictObject({
        path: filePath().describe('The file lines are appended to; its folder is created when missing.'),
      })
      .optional()
      .describe('For output `file`.'),
  })
  .prefault({})
  .describe('The access log.');

export const Logging = z
  .strictObject({
    enabled: enabled('Switch of all request logs.'),
    access: Access,
  })
  .prefault({})
  .describe('Request logs. Without this block the access log is on.');

const increasing = (numbers: readonly number[]): boolean =>
  numbers.every((number, i) => i === 0 || number > (numbers[i - 1] ?? Infinity));

export const Metrics = z
  .strictObject({
    enabled: enabled('Serve metrics.'),
    path: urlPath().default('/metrics').describe('Where Prometheus finds them.'),
    latency_buckets: z
      .array(z.number().positive())
      .min(1)
      .refine(increasing, { error: 'the bounds must increase' })
      .default([10, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 120_000, 300_000])
      .describe('Upper bounds of the latency histogram, in ms.'),
  })
  .prefault({})
  .describe('Prometheus metrics. Without this block they are on.');
