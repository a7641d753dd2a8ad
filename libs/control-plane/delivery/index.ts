export { openDelivery, type Delivery, type DeliveryOptions, type ReporterState } from './delivery.ts';
export { openDeadLetters, type DeadLetter, type DeadLetters } from './dead-letters.ts';
export { webhookReporter, type WebhookOptions } from './webhook-reporter.ts';
export { type Reporter } from './reporter.ts';
export { databaseSchedule, type RetrySchedule } from './core/retry-schedule.ts';
export { type DeliveryOutcome } from './delivery-queue.ts';
