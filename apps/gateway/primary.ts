/**
 * The cluster primary: keeps the workers alive, merges their metrics, serves the management listener. Once told to stop
 * it ends: when its last worker has, or `exitSlackMs` after their drain, or at a second signal.
 */
import cluster, { type Worker } from 'node:cluster';
import { listenForStop } from '@llmproxy/app-life';
import {
  mergeMetrics,
  serveManagement,
  type Logger,
  type Management,
  type MetricsSnapshot,
} from '@llmproxy/telemetry';
import { afterEvent, noCrew, wantsWorkers, type CrewEvent } from './core/crew.ts';
import { mergeChecks, type Checks } from './core/merge-checks.ts';
import { DepartedCounters } from './departed-counters.ts';
import { PendingAnswers, type ToPrimary, type ToWorker } from './ipc.ts';

export interface PrimaryOptions {
  workers: number;
  drainTimeoutMs: number;
  management: { listen: string | undefined; metricsPath: string | undefined };
  /** The primary's own series, and those of other processes on this machine. */
  furtherSnapshots(): Promise<MetricsSnapshot[]>;
  log: Logger;
}

// An open stream's objects live for minutes: with V8's default of 16 MB they are copied back and forth in a young
// generation that stays resident. 10,000 streams: 47 KB each by default, 22 KB with 8 MB (npm run chaos, 2026-11-21).
// And every core has a worker of its own to run: helper threads of a garbage collection have to wait for one, and the
// worker waits for them. At half load the slowest 1 % of the first tokens come after 8–11 ms instead of 20–30 without
// them (three runs of 14 rounds side by side, 2026-11-21).
const workerFlags = ['--max-semi-space-size=8', '--single-threaded-gc'];

const backOffMinMs = 100;
const backOffMaxMs = 10_000;
const provenMs = 10_000;
const snapshotTimeoutMs = 2_000;
const checksTimeoutMs = 1_000;
/** Longer than a worker needs to end by itself after its drain; see `closingMsMax` there. */
const exitSlackMs = 10_000;
/** How long the system may take to end a process that was killed. */
const killedMsMax = 2_000;

/**
 * Forks the workers and resolves, with the exit code, when the gateway is to end after a signal or a failed start: 0
 * when every worker ended by itself.
 */
export async function runPrimary(options: PrimaryOptions): Promise<number> {
  const primary = new Primary(options);
  return primary.run();
}

class Primary {
  readonly #options: PrimaryOptions;
  readonly #snapshots = new PendingAnswers<MetricsSnapshot>();
  readonly #checks = new PendingAnswers<Checks>();
  readonly #latest = new Map<number, MetricsSnapshot>();
  readonly #departed = new DepartedCounters();
  readonly #listening = new Set<number>();
  readonly #ended = Promise.withResolvers<number>();
  #management: Management | undefined;
  #crew = noCrew;
  #announced = false;
  #failures = 0;
  #exitCode = 0;

  constructor(options: PrimaryOptions) {
    this.#options = options;
  }

  async run(): Promise<number> {
    const { management, workers, log } = this.#options;
    cluster.setupPrimary({ execArgv: [...workerFlags, ...process.execArgv] });
    cluster.on('message', (worker, message: ToPrimary) => void this.#receive(worker, message));
    if (management.listen !== undefined) {
      this.#management = await serveManagement({
        listen: management.listen,
        ...(management.metricsPath === undefined
          ? {}
          : { metricsPath: management.metricsPath, metrics: () => this.#metrics() }),
        ready: () => this.#readiness(),
        furtherChecks: () => this.#collectChecks(),
      });
      log.info({ address: this.#management.address }, 'management listener is up');
    }
    listenForStop({ first: (why) => this.#stop(why), again: (exitCode) => this.#endNow(exitCode) });
    for (let i = 0; i < workers; i++) this.#fork();
    const code = await this.#ended.promise;
    // Not waited for longer than anything else: the process ends with it.
    void this.#management?.close();
    return code;
  }

  #fork(): void {
    const startedMs = performance.now();
    const worker = cluster.fork();
    this.#happened({ kind: 'forked', id: worker.id });
    // Without a listener a message to a worker that has just died would end the primary as well.
    worker.on('error', (error) => {
      this.#options.log.warn({ cause: error.message }, 'a gateway worker cannot be reached');
      if (worker.process.pid === undefined) this.#lost(worker, startedMs); // it could not be started: no exit will come
    });
    worker.once('exit', (code, signal) => {
      if (code !== 0 || signal)
        this.#options.log.error({ worker: worker.process.pid, code, signal }, 'gateway worker exited');
      this.#lost(worker, startedMs);
    });
  }

  #lost(worker: Worker, startedMs: number): void {
    this.#listening.delete(worker.id);
    const last = this.#latest.get(worker.id);
    this.#latest.delete(worker.id);
    if (last) this.#departed.add(last);
    this.#happened({ kind: 'exited', id: worker.id });
    if (!wantsWorkers(this.#crew)) return;
    this.#failures = performance.now() - startedMs > provenMs ? 1 : this.#failures + 1;
    const waitMs = Math.min(backOffMinMs * 2 ** (this.#failures - 1), backOffMaxMs);
    this.#options.log.warn({ waitMs }, 'a gateway worker is gone; starting another');
    setTimeout(() => wantsWorkers(this.#crew) && this.#fork(), waitMs);
  }

  #happened(event: CrewEvent): void {
    this.#crew = afterEvent(this.#crew, event);
    if (this.#crew.state === 'ended') this.#ended.resolve(this.#exitCode);
  }

  async #receive(worker: Worker, message: ToPrimary): Promise<void> {
    switch (message.kind) {
      case 'listening':
        this.#listening.add(worker.id);
        this.#announce(message.address);
        break;
      case 'snapshot':
        if (!worker.isDead()) this.#latest.set(worker.id, message.snapshot);
        this.#snapshots.answer(message.id, message.snapshot);
        break;
      case 'metrics-wanted':
        await this.#tellMetrics(worker, message.id);
        break;
      case 'checks':
        this.#checks.answer(message.id, message.checks);
        break;
      case 'all-checks-wanted':
        send(worker, { kind: 'all-checks', id: message.id, checks: await this.#collectChecks() });
        break;
      case 'failed-to-start':
        // Nothing served yet and nothing will change by trying again: a taken port, a missing file.
        if (this.#announced) break;
        this.#options.log.error(message.message);
        this.#exitCode = 1;
        this.#stop('failed start');
        break;
      default:
        message satisfies never;
    }
  }

  async #tellMetrics(worker: Worker, id: number): Promise<void> {
    try {
      const answer: ToWorker = { kind: 'metrics-text', id, text: await this.#metrics() };
      send(worker, answer);
    } catch (error) {
      this.#options.log.error({ err: error }, 'metrics could not be collected');
    }
  }

  #announce(address: string): void {
    if (this.#announced || this.#listening.size < this.#options.workers) return;
    this.#announced = true;
    this.#options.log.info({ address, workers: this.#options.workers }, 'gateway is listening');
    process.send?.({ ready: true, address, management: this.#management?.address });
  }

  #stop(why: string): void {
    if (!wantsWorkers(this.#crew)) return;
    this.#options.log.info({ why }, 'gateway is draining');
    this.#happened({ kind: 'told-to-stop' });
    this.#signal('SIGTERM');
    const { drainTimeoutMs } = this.#options;
    setTimeout(() => this.#endLate(), drainTimeoutMs + exitSlackMs).unref();
  }

  #endLate(): void {
    const workers = this.#running().map((worker) => worker.process.pid);
    this.#options.log.error({ workers }, 'gateway workers have not ended after their drain; killing them');
    this.#exitCode = 1;
    this.#signal('SIGKILL');
    setTimeout(() => this.#ended.resolve(1), killedMsMax);
  }

  #endNow(exitCode: number): void {
    this.#options.log.warn({}, 'told to stop a second time; ending at once');
    this.#exitCode = exitCode;
    this.#signal('SIGKILL');
    setTimeout(() => this.#ended.resolve(exitCode), killedMsMax);
  }

  #running(): Worker[] {
    return Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
  }

  #signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    for (const worker of this.#running()) worker.process.kill(signal);
  }

  #readiness() {
    const { workers } = this.#options;
    const isDraining = !wantsWorkers(this.#crew);
    const serving = this.#listening.size > 0 && !isDraining;
    return {
      ok: serving,
      checks: {
        draining: isDraining ? 'yes' : 'ok',
        workers: this.#listening.size === workers ? 'ok' : `${this.#listening.size} of ${workers} listening`,
      },
    };
  }

  /** Of each user of Redis in the workers, the worst that one of them found. */
  async #collectChecks(): Promise<Record<string, string>> {
    const asked = this.#running().map((worker) =>
      this.#checks.ask((id) => send(worker, { kind: 'checks', id }), checksTimeoutMs),
    );
    const answers = await Promise.all(asked);
    const known = answers.filter((checks) => checks !== undefined);
    const silent = answers.length - known.length;
    if (silent === 0) return mergeChecks(known);
    return { ...mergeChecks(known), answers: `${silent} of ${answers.length} workers gave none in time` };
  }

  async #metrics(): Promise<string> {
    const asked = this.#running().map((worker) =>
      this.#snapshots.ask((id) => send(worker, { kind: 'snapshot', id }), snapshotTimeoutMs),
    );
    const [further] = await Promise.all([this.#options.furtherSnapshots(), ...asked]);
    // A worker too busy to answer in time counts with what it said last.
    return mergeMetrics([...this.#latest.values(), ...(await this.#departed.snapshots()), ...further]);
  }
}

/** One that has just died hears nothing, and whoever waits for its answer has a deadline. */
function send(worker: Worker, message: ToWorker): void {
  if (worker.isConnected()) worker.send(message, () => undefined);
}
