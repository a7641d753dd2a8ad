import type { Inbound } from '@llmproxy/exchange';

/** For specs: the head of a request, as the stage sees it. */
export function inboundWith(
  headers: Readonly<Record<string, string>> = {},
  { target = '/v1/chat/completions', peerAddress = '203.0.113.7' } = {},
): Inbound {
  const lower = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const absent = (): never => {
    throw new Error('authentication reads the head only');
  };
  return {
    requestId: 'request-1',
    method: 'POST',
    target,
    rawHeaders: Object.entries(headers).flat(),
    peerAddress,
    startedMs: 0,
    header: (name) => lower.get(name),
    body: absent,
    onGone: absent,
    get reply() {
      return absent();
    },
  };
}
