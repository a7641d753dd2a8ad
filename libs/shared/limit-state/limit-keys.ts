/** Names of what limits keep in Redis. Keys of one scope share its hash tag. */

export const limitKeys = {
  /**
   * String of eight doubles, little-endian: level (thousandths of a request) and time of the token bucket; then start,
   * previous and current count of the window of requests and of that of tokens. Times are ms since 1970.
   */
  rates: (tag: string) => `lp:{${tag}}:rates`,
  /** Sorted set: `<request id, filled up>:<estimate>:<admitted at ms>:<what it holds>` → expiry in ms since 1970. */
  leases: (tag: string) => `lp:{${tag}}:leases`,
  /** Hash: used, reserved, start and end of the period (ms since 1970; end 0: none). */
  quota: (tag: string) => `lp:{${tag}}:quota`,
  /** Empty string, for an hour: a charge of that id has been counted. */
  charged: (tag: string, id: string) => `lp:{${tag}}:charged:${id}`,
  /** Sorted set: tag of a scope that has leases or a quota → when it was used last, ms since 1970. */
  tags: 'lp:limits:tags',
  /** Sorted set: gateway worker → its last sign of life, ms since 1970. */
  workers: 'lp:{g}:workers',
} as const;
