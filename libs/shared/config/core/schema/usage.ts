import { z } from 'zod';
import { count, duration, enabled, headerMap, httpUrl, name, sqlName } from './leaves.ts';
import { clientTls } from './tls.ts';

const Webhook = z
  .strictObject({
    url: httpUrl().describe('Where usage events are sent, one a request.'),
    method: z.enum(['POST', 'PUT']).default('POST').describe('HTTP method.'),
    timeout: duration()
      .prefault('3s')
      .describe('Longest wait for the answer to one attempt. In ms once loaded.'),
    retry: count(0, 100)
      .default(8)
      .describe(
        'Extra attempts after the first, with growing pauses; after the last one it becomes a dead letter.',
      ),
    headers: headerMap().default({}).describe('Headers added to each delivery.'),
    secret: z
      .string()
      .min(1)
      .optional()
      .describe('Signs each delivery with an HMAC-SHA256. Better `${ENV}` than plain text.'),
    tls: clientTls('How a server at `https://` is known, and our certificate for it.'),
  })
  .describe('For type `webhook`.');

const DatabaseReporter = z
  .strictObject({
    storage: name().describe('Name of an entry of `storage.databases`.'),
    table: sqlName('table')
      .default('usage_records')
      .describe('Table the events are inserted into; created when missing.'),
  })
  .describe('For type `database`.');

const Reporter = z
  .strictObject({
    name: name().describe('Unique name; its queue, its dead letters and its metrics carry it.'),
    type: z.enum(['webhook', 'database']).describe('What receives the events.'),
    enabled: enabled('Send events to this reporter.'),
    webhook: Webhook.optional(),
    database: DatabaseReporter.optional(),
  })
  .describe('One receiver of usage events.');

export const Usage = z
  .strictObject({
    enabled: enabled('Emit a usage event per finished request.'),
    include_request_body: z
      .boolean()
      .default(false)
      .describe('Put the request body into each event. Prompts may be personal data.'),
    reporters: z
      .array(Reporter)
      .prefault([])
      .describe('Where the events go; each is served and retried on its own.'),
  })
  .prefault({ enabled: false })
  .describe('What each request used, and who is told. Without this block no events are emitted.');
