import { messageFrom } from './children.ts';
import type { Children } from './children.ts';

export interface MockBackend {
  readonly port: number;
  readonly pid: number;
  readonly url: string;
  /** What it has sent so far. */
  stats(): Promise<BackendStats>;
}

export interface BackendStats {
  readonly streamsBegun: number;
  readonly streamsCompleted: number;
  /** Streams whose reader closed the connection before their end. */
  readonly streamsCut: number;
  readonly chunks: number;
  /** Bytes handed to the kernel. */
  readonly bytesSent: number;
  readonly connections: number;
}

const isReady = (message: unknown): message is { ready: true; port: number } =>
  typeof message === 'object' && message !== null && 'ready' in message && 'port' in message;

export async function startMockBackend(children: Children): Promise<MockBackend> {
  const child = children.fork(new URL('./mock-backend.ts', import.meta.url));
  const { port } = await messageFrom(child, isReady);
  const url = `http://127.0.0.1:${port}`;
  return {
    port,
    pid: child.pid ?? 0,
    url,
    stats: async () => (await (await fetch(`${url}/stats`)).json()) as BackendStats,
  };
}
