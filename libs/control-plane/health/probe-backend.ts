import { request, type Dispatcher } from 'undici';

export interface ProbedBackend {
  name: string;
  /** Base URL without a trailing slash. */
  url: string;
  /** Sent with each probe, the credential among them. */
  headers: Readonly<Record<string, string>>;
}

export interface ProbeRequest {
  method: 'GET' | 'HEAD' | 'POST' | 'OPTIONS';
  /** Appended to the base URL. */
  path: string;
  expectedStatus: number;
  /** Longest wait for the head of the answer, connecting included. */
  timeoutMs: number;
}

export interface ProbeResult {
  /** Time until the head of the answer; null when there was none. */
  latencyMs: number | null;
  /** Null: the backend answered as expected. Never contains a header's value. */
  error: string | null;
}

export interface ProbeTools {
  dispatcher: Dispatcher;
  /** Gives the probe up: its promise rejects. */
  signal: AbortSignal;
}

/** Enough for any health page; a longer body costs its connection. */
const bodyBytesMax = 64 * 1024;

/**
 * Asks one backend whether it is well. Redirects are not followed: they are answers like any other.
 * @throws only when `signal` gave up; all that a backend can do wrong is a result
 */
export async function probeBackend(
  backend: ProbedBackend,
  { method, path, expectedStatus, timeoutMs }: ProbeRequest,
  { dispatcher, signal }: ProbeTools,
): Promise<ProbeResult> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const startedMs = performance.now();
  try {
    const { statusCode, body } = await request(backend.url + path, {
      method,
      headers: { 'user-agent': 'llmproxy-health-check', ...backend.headers },
      dispatcher,
      signal: AbortSignal.any([timeout, signal]),
      reset: true, // a probe on a new connection also tells whether new clients get one
    });
    const latencyMs = Math.round(performance.now() - startedMs);
    body.on('error', () => undefined); // cut off, for which nobody waits
    body.dump({ limit: bodyBytesMax }).catch(() => undefined);
    const error =
      statusCode === expectedStatus ? null : `answered ${statusCode} instead of ${expectedStatus}`;
    return { latencyMs, error };
  } catch (cause) {
    if (signal.aborted) throw cause;
    return { latencyMs: null, error: timeout.aborted ? `no answer within ${timeoutMs} ms` : reasonOf(cause) };
  }
}

/** Node tells of several tried addresses in an error without a message of its own. */
function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError && cause.errors.length > 0) return reasonOf(cause.errors[0]);
  if (!(cause instanceof Error)) return 'unknown error';
  return cause.message || ('code' in cause ? String(cause.code) : cause.name);
}
