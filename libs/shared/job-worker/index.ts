export { openJobWorker, withoutWorker } from './job-worker.ts';
export type { JobWorker, JobWorkerOptions, QueueState } from './job-worker.ts';
