/** How long a call may take, by how long the calls of the last minute took. */

const longestMs = 1000;
const times = 3;

/** The bounds of a deadline, in ms; an operator who sets the lower one above a second means it. */
export const longestDeadlineMs = (leastMs: number): number => Math.max(leastMs, longestMs);

/**
 * Three times what 99 of 100 answers stay below, within the bounds: so neither a long way to Redis nor answers that are
 * late now and then take limits away.
 * @param p99Ms undefined: there was no answer
 * @param leastMs what the operator set
 */
export const deadlineMs = (p99Ms: number | undefined, leastMs: number): number =>
  Math.min(longestDeadlineMs(leastMs), Math.max(leastMs, times * (p99Ms ?? 0)));
