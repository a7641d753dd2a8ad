/**
 * Whether a reporter delivers, for those who are told of changes only. States:
 * - `delivering`: → `failing` on a failed attempt
 * - `failing`: → `delivering` after `recoveredAfter` deliveries in a row, so that a receiver that fails now and then is
 *   not reported at each turn
 */
export type ReporterHealth =
  | { state: 'delivering' }
  | { state: 'failing'; cause: string; failedAttempts: number; deliveredInARow: number };

const recoveredAfter = 3;

export function afterDelivery(health: ReporterHealth): ReporterHealth {
  if (health.state === 'delivering') return health;
  const deliveredInARow = health.deliveredInARow + 1;
  return deliveredInARow >= recoveredAfter ? { state: 'delivering' } : { ...health, deliveredInARow };
}

export function afterFailure(health: ReporterHealth, cause: string): ReporterHealth {
  const failedAttempts = health.state === 'failing' ? health.failedAttempts + 1 : 1;
  return { state: 'failing', cause, failedAttempts, deliveredInARow: 0 };
}
