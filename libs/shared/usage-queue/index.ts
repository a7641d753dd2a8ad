export { Outcome, TokenUsage, UsageEvent, UsageSource } from './usage-event.ts';
export { openUsageProducer, type UsageProducer, type UsageProducerOptions } from './usage-producer.ts';
export { openUsageConsumer, type UsageConsumer } from './usage-consumer.ts';
export { forgotten, isWithoutData, tellsJobsWithoutData } from './jobs-without-data.ts';
export { queueDepth } from './queue-depth.ts';
export { untilGone, type QueueRedis } from './queue-connection.ts';
export { deliveryQueueName, usageQueueName } from './queue-names.ts';
export { type QueueLog } from './queue-log.ts';
export { batchId, inBatches, type BatchBounds } from './batch.ts';
