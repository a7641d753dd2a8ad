/** Several gateways on one Redis and one backend, as behind a load balancer. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startGateway, type Gateway, type Setup } from './gateway.ts';
import { fetchText } from './http-client.ts';

export interface Fleet extends AsyncDisposable {
  readonly gateways: readonly Gateway[];
  /** The address whose turn it is. */
  next(): string;
}

/** Starts so many gateways, each with a folder of its own inside `setup.folder`. */
export async function startFleet(count: number, setup: Setup): Promise<Fleet> {
  const starts = Array.from({ length: count }, (_, i) => {
    const folder = join(setup.folder, `gateway-${i}`);
    mkdirSync(folder);
    return startGateway({ ...setup, folder });
  });
  const dispose = async (): Promise<void> => {
    const started = await Promise.allSettled(starts);
    await Promise.all(started.map((one) => one.status === 'fulfilled' && one.value[Symbol.asyncDispose]()));
  };
  try {
    const gateways = await Promise.all(starts);
    let turn = 0;
    const next = (): string => gateways[turn++ % count]?.address ?? '';
    return { gateways, next, [Symbol.asyncDispose]: dispose };
  } catch (cause) {
    await dispose();
    throw cause;
  }
}

export type Reply = Awaited<ReturnType<typeof fetchText>>;

export interface Storm {
  /** What has been answered so far. */
  readonly replies: readonly Reply[];
  readonly passed: () => number;
  readonly refused: () => number;
  /** Resolves with all replies, in the order in which they came. */
  readonly all: Promise<readonly Reply[]>;
}

/** Sends so many requests at once, each on a connection of its own, in turns to all gateways. */
export function storm(
  fleet: Pick<Fleet, 'next'>,
  count: number,
  ask: Parameters<typeof fetchText>[2],
): Storm {
  const replies: Reply[] = [];
  const one = async (): Promise<void> => {
    replies.push(await fetchText(fleet.next(), '/v1/chat/completions', ask));
  };
  const statuses = (status: number) => replies.filter((reply) => reply.status === status).length;
  return {
    replies,
    passed: () => statuses(200),
    refused: () => statuses(429),
    all: Promise.all(Array.from({ length: count }, one)).then(() => replies),
  };
}
