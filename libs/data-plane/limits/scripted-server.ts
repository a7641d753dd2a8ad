/**
 * For specs: limits as Redis keeps them (its model, which a property test holds to the script), behind connections that
 * are late, stop and break as they are told to. Runs on the timers of the process, which a spec may fake.
 */
import { transactInMemory, type Batch, type Transacted } from '@llmproxy/limit-state';
import type { vi } from 'vitest';
import type { LimitServer } from './limit-server.ts';

/** For `vi.useFakeTimers`: all that limits run on but the turns of the event loop. */
export const fakeTime = {
  now: 1_800_000_000_000,
  toFake: [
    'setTimeout',
    'clearTimeout',
    'setInterval',
    'clearInterval',
    'setImmediate',
    'clearImmediate',
    'Date',
    'performance',
  ],
} satisfies Parameters<typeof vi.useFakeTimers>[0];

type Store = Parameters<typeof transactInMemory>[0];

/**
 * For `ms` answers take `lateMs`; nothing moves; no answer comes, until the connection breaks at the end of it; or the
 * connection breaks, and there is none meanwhile. What is under way when it breaks is lost wherever it is: before Redis or
 * on its way back.
 */
export interface Spell {
  readonly kind: 'late' | 'stopped' | 'mute' | 'cut';
  readonly ms: number;
  readonly lateMs: number;
}

export class ScriptedServer {
  readonly store: Store = new Map();
  readonly #workers = new Set<string>();

  connect(spells: readonly Spell[]): LimitServer {
    const channel = new Channel(spells);
    return {
      isCluster: false,
      isReady: () => channel.kind() !== 'cut',
      untilReady: () => Promise.resolve(),
      transact: (batch: Batch) =>
        channel.call((): Transacted => transactInMemory(this.store, batch, Date.now())),
      sign: (worker) => channel.call(() => this.#workers.add(worker).size),
      leave: (worker) => channel.call(() => this.#workers.delete(worker)),
      noteTags: () => channel.call(() => undefined),
    };
  }
}

interface UnderWay {
  readonly lose: () => void;
  readonly timers: NodeJS.Timeout[];
}

/** A connection: what is sent first is run first and answered first. */
class Channel {
  readonly #spells: readonly (Spell & { readonly fromMs: number })[];
  readonly #underWay = new Set<UnderWay>();
  #runsMs = 0;
  #answersMs = 0;

  constructor(spells: readonly Spell[]) {
    let fromMs = performance.now();
    this.#spells = spells.map((spell) => {
      const placed = { ...spell, fromMs };
      fromMs += spell.ms;
      return placed;
    });
    const nowMs = performance.now();
    for (const { kind, fromMs: at, ms } of this.#spells) {
      if (kind === 'cut') setTimeout(() => this.#cut(), at - nowMs);
      if (kind === 'mute') setTimeout(() => this.#cut(), at + ms - nowMs);
    }
  }

  kind(): Spell['kind'] | undefined {
    return this.#spell(performance.now())?.kind;
  }

  call<Reply>(run: () => Reply): Promise<Reply> {
    const nowMs = performance.now();
    const spell = this.#spell(nowMs);
    const lateMs = spell?.kind === 'late' ? spell.lateMs : 1;
    this.#runsMs = this.#moving(Math.max(this.#runsMs, nowMs + lateMs / 2));
    this.#answersMs = this.#moving(Math.max(this.#answersMs, this.#runsMs + lateMs / 2));
    return new Promise((resolve, reject) => {
      if (spell?.kind === 'cut') return reject(new Error('Connection is closed.'));
      let reply: Reply;
      const call: UnderWay = {
        lose: () => reject(new Error('Connection is closed.')),
        timers: [setTimeout(() => (reply = run()), this.#runsMs - nowMs)],
      };
      this.#underWay.add(call);
      const answer = (): void => {
        this.#underWay.delete(call);
        resolve(reply);
      };
      if (spell?.kind !== 'mute') call.timers.push(setTimeout(answer, this.#answersMs - nowMs));
    });
  }

  /** The first moment from then on at which Redis is not stopped. */
  #moving(atMs: number): number {
    for (let at = atMs; ;) {
      const spell = this.#spell(at);
      if (spell?.kind !== 'stopped') return at;
      at = spell.fromMs + spell.ms;
    }
  }

  #spell(atMs: number): (Spell & { readonly fromMs: number }) | undefined {
    return this.#spells.find(({ fromMs, ms }) => fromMs <= atMs && atMs < fromMs + ms);
  }

  #cut(): void {
    for (const { lose, timers } of this.#underWay) {
      for (const timer of timers) clearTimeout(timer);
      lose();
    }
    this.#underWay.clear();
  }
}
