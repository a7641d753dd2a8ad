/** Names of what this project keeps in Redis, each in one place. No secret is ever part of a name. */

export const redisKeys = {
  /** Hash: backend → verdict of its health probes. Written by the scheduler, read by gateways. */
  health: 'lp:health',
  /** String that expires: the scheduler that may probe a backend now. */
  probeClaim: (backend: string) => `lp:{b:${backend}}:probe`,
} as const;

/** Prefix of BullMQ's keys. The braces keep them on one node of a Redis Cluster, where BullMQ's scripts need them. */
export const bullPrefix = '{lp}:bull';
