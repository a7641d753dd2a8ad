import { Worker, type Job, type Processor, type WorkerOptions } from 'bullmq';

/** What a worker says of itself. */
export interface SignsOfLife {
  /** Redis has answered whether there is a job. */
  onAnswer(): void;
  /** Redis has prolonged the locks of the jobs under way. */
  onLocksRenewed(): void;
}

/** A BullMQ worker that tells of each answer to its question for a job. */
export class AskingWorker<T> extends Worker<T, void> {
  readonly #signs: SignsOfLife;
  #busy = 0;

  constructor(queue: string, handle: Processor<T, void>, options: WorkerOptions, signs: SignsOfLife) {
    const counted: Processor<T, void> = async (job, token) => {
      this.#busy += 1;
      await handle(job, token).finally(() => (this.#busy -= 1));
    };
    super(queue, counted, { ...options, autorun: false }); // what it calls is not there before the parent is
    this.#signs = signs;
    this.on('error', () => undefined); // outages are told by the connection, and by whoever hears our signs
    this.on('locksRenewed', () => signs.onLocksRenewed());
    this.run().catch(() => undefined);
  }

  /** Whether it has a job in each of its slots: then it asks for no more. */
  get isFull(): boolean {
    return this.#busy >= this.concurrency;
  }

  /** The last step of each round of its loop, whether it heard of a job or has waited in vain. */
  protected override async moveToActive(token: string, name?: string): Promise<Job<T, void>> {
    const job = await super.moveToActive(token, name);
    this.#signs.onAnswer();
    return job;
  }
}
