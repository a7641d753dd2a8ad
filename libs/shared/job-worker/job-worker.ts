/**
 * A BullMQ worker that is watched. BullMQ asks for jobs in a loop: it waits for news on a connection of its own
 * (BZPOPMIN, 5 s unless told otherwise), then asks for a job on the shared one, whether it heard of any or not. That loop
 * can come to a stand while both connections count as ready: a promise that nobody settles, a connection that a
 * firewall has forgotten. No library tells. So each answer of Redis to the question for a job is noted; while all slots
 * are taken, which is no reason to ask, each renewal of the locks is. States:
 * - `well`: → `failing` when the connection is lost, or when neither has come for `silentMsMax`
 * - `failing`: → `well` at the next answer. Each `silentMsMax` the shared connection is made anew; if Redis answers then
 *   and the worker still does not ask, another worker takes its place, and its jobs are handled again when their locks
 *   have expired
 */
import {
  bullPrefix,
  checkConnection,
  connectionProblem,
  type RedisClient,
  type RedisLog,
} from '@llmproxy/redis';
import { createCondition, type Condition } from '@llmproxy/telemetry';
import { atMost } from '@llmproxy/time';
import type { Job, Processor, WorkerOptions } from 'bullmq';
import { AskingWorker } from './asking-worker.ts';

export interface JobWorkerOptions<T> {
  readonly queue: string;
  /** As `connectForQueues` makes it; may be shared. It stays the caller's to close. */
  readonly connection: RedisClient;
  /** May be called again for the same job: when it rejects, or when its worker was killed or replaced. */
  readonly handle: Processor<T, void>;
  readonly bullMq?: Omit<WorkerOptions, 'connection' | 'prefix' | 'autorun'> | undefined;
  /** A job failed, for good if it has `finishedOn`; without a job: it is already another worker's. */
  readonly onFailed?: ((job: Job<T, void> | undefined, cause: Error) => void) | undefined;
  /** Hears when jobs are asked for no more, and when again; an outage is the connection's to tell. */
  readonly log: RedisLog;
  /** So long, in ms, a worker may be silent. Default 30,000; more than one of its rounds takes. */
  readonly silentMsMax?: number | undefined;
}

/** How a user of the queues fares. */
export interface QueueState {
  /** Whether it is connected and asks for jobs. */
  isWell(): boolean;
  /** The same for people: `ok`, `not connected (<state>)`, or since when it fails and why. */
  found(): string;
}

export interface JobWorker extends QueueState {
  /** Resolves when it is connected and asks for jobs. */
  ready(): Promise<void>;
  /** Finishes the jobs under way. */
  close(): Promise<void>;
}

const silentMsDefault = 30_000;
/** Silence is counted in so many rounds of a timer: a process that was stopped, or busy, has not been silent meanwhile. */
const roundsMax = 6;
/** Those of a connection that ioredis does not leave while the server keeps silent. */
const stayingStates: readonly string[] = ['connect', 'ready'];

/** Starts working; returns at once, whether Redis is there or not. */
export function openJobWorker<T>(options: JobWorkerOptions<T>): JobWorker {
  return new WatchedWorker(options);
}

/** All that can be told before there is a worker. */
export function withoutWorker(connection: RedisClient): QueueState {
  const isWell = (): boolean => connection.status === 'ready';
  const connectionFound = checkConnection(connection);
  return { isWell, found: () => (isWell() ? 'ok' : connectionFound()) };
}

class WatchedWorker<T> implements JobWorker {
  readonly #options: JobWorkerOptions<T>;
  readonly #condition: Condition = createCondition();
  readonly #roundMs: number;
  readonly #timer: NodeJS.Timeout;
  #worker: AskingWorker<T>;
  #silentRounds = 0;
  #isSilent = false;

  constructor(options: JobWorkerOptions<T>) {
    this.#options = options;
    this.#roundMs = (options.silentMsMax ?? silentMsDefault) / roundsMax;
    this.#worker = this.#start();
    options.connection.on('close', this.#onClose);
    this.#timer = setInterval(() => this.#watch(), this.#roundMs).unref();
  }

  async ready(): Promise<void> {
    await this.#worker.waitUntilReady();
  }

  isWell(): boolean {
    return this.#options.connection.status === 'ready' && this.#condition.isWell();
  }

  found(): string {
    const isConnecting = this.#options.connection.status !== 'ready' && this.#condition.isWell();
    return isConnecting ? checkConnection(this.#options.connection)() : this.#condition.found();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#options.connection.off('close', this.#onClose);
    await this.#worker.close();
  }

  readonly #onClose = (): void =>
    this.#condition.failed(connectionProblem(this.#options.connection) ?? 'no connection to Redis');

  #start(): AskingWorker<T> {
    const { queue, connection, handle, bullMq, onFailed } = this.#options;
    const worker: AskingWorker<T> = new AskingWorker(
      queue,
      handle,
      { ...bullMq, connection, prefix: bullPrefix },
      {
        onAnswer: () => this.#heard(worker),
        onLocksRenewed: () => {
          if (worker.isFull) this.#heard(worker);
        },
      },
    );
    if (onFailed !== undefined) worker.on('failed', onFailed);
    return worker;
  }

  #heard(worker: AskingWorker<T>): void {
    if (worker !== this.#worker) return; // the last words of one that was replaced
    this.#silentRounds = 0;
    this.#condition.ok();
    if (!this.#isSilent) return;
    this.#isSilent = false;
    this.#options.log('info', `queue ${this.#options.queue}: jobs are asked for again`);
  }

  #watch(): void {
    this.#silentRounds += 1;
    if (this.#silentRounds % roundsMax === 0) this.#renewConnection();
    else if (this.#silentRounds > roundsMax) void this.#replaceIfRedisAnswers();
  }

  #renewConnection(): void {
    const { queue, connection, log } = this.#options;
    if (!stayingStates.includes(connection.status)) return; // ioredis is at it, and tells
    const cause = `no job was asked for in ${Math.round((this.#roundMs * roundsMax) / 1000)} s`;
    this.#condition.failed(cause);
    if (!this.#isSilent) log('warn', `queue ${queue}: ${cause}; the connection to Redis is made anew`);
    this.#isSilent = true;
    connection.disconnect(true); // what waits for an answer is sent again
  }

  async #replaceIfRedisAnswers(): Promise<void> {
    const { queue, connection } = this.#options;
    const silent = this.#worker;
    let hasAnswered = false;
    await atMost(
      connection.exists(`${bullPrefix}:${queue}:meta`).then(() => (hasAnswered = true)),
      this.#roundMs,
    );
    if (!hasAnswered || this.#silentRounds === 0 || silent !== this.#worker || silent.closing) return;
    this.#silentRounds = 0;
    this.#worker = this.#start();
    silent.close(true).catch(() => undefined);
  }
}
