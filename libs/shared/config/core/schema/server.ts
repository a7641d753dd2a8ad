import { z } from 'zod';
import { addressRange, byteSize, count, duration, listenAddress } from './leaves.ts';

export const Server = z
  .strictObject({
    listen: listenAddress()
      .prefault(':8000')
      .describe(
        'Address of the listener for clients. `:8000` means every address; port 0 picks a free port.',
      ),
    workers: count(1, 1024)
      .optional()
      .describe('Gateway worker processes. Default: the number of cores the process may use.'),
    read_timeout: duration()
      .prefault('30s')
      .describe('How long a client may take to send a whole request. In ms once loaded.'),
    idle_timeout: duration()
      .prefault('120s')
      .describe('How long a kept-alive connection may wait for its next request. In ms once loaded.'),
    max_header_bytes: byteSize()
      .prefault(65_536)
      .describe('Largest request head, all headers together; more is answered with 431.'),
    max_body_size: byteSize()
      .prefault(10_485_760)
      .describe('Largest request body in bytes, or as text like `10MB`; more is answered with 413.'),
    trusted_proxies: z
      .array(addressRange())
      .default([])
      .describe(
        'Proxies in front, as addresses or ranges like `10.0.0.0/8`. Only theirs is `X-Forwarded-For` (or `X-Real-IP`) believed: the client is the last address in it that is none of them.',
      ),
    drain_timeout: duration('zero is allowed')
      .prefault('30s')
      .describe('How long requests under way may go on after SIGTERM; `0s` cuts them. In ms once loaded.'),
  })
  .prefault({})
  .describe('The listener that clients talk to.');

export const Management = z
  .strictObject({
    listen: listenAddress()
      .optional()
      .describe(
        'Second listener for `/metrics`, `/health`, `/livez` and `/readyz`. Unset: they are served by `server.listen`.',
      ),
  })
  .prefault({})
  .describe('A listener for operators, so that metrics and probes need not face clients.');
