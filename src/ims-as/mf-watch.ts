import type { Logger } from '../base/log.ts';
import type { Timer, Timers } from '../base/timers.ts';
import { ImsdcError } from '../errors.ts';
import type { NmfMrm } from '../services/nmf-mrm.ts';

export interface MfWatchOptions {
  readonly client: Pick<NmfMrm, 'patchContext'>;
  readonly timers: Timers;
  readonly log: Logger;
  /** Between two questions while the MF answers; 0: none are asked. */
  readonly probeMs: number;
  /** Contexts that the MF does not hold any more, or that nobody can reach; each is named once. */
  lost(contextIds: ReadonlySet<string>, reason: string): void;
  /** An MF that was lost answers again. It may still hold `contextIds`, which are in use no more. */
  back(contextIds: ReadonlySet<string>): void;
}

/** A question without an answer in this time counts as a miss. */
const ANSWER_MS = 2_000;
/** After a miss the next question does not wait for `probeMs`; nor does it while the MF is lost. */
const RETRY_MS = 1_000;
/** So many misses in a row, and the MF is lost: one may be a packet, or a restart of the connection. */
const MISSES = 2;

function first<T>(values: Iterable<T>): T | undefined {
  const [value] = values;
  return value;
}

/**
 * Whether one MF still holds our contexts (R25). Nmf_MRM has no read: a PATCH of `test` operations asks for one context
 * after the other, and 404 means lost. An MF that does not answer at all has lost every context; it is asked on until it
 * is back.
 */
export class MfWatch {
  readonly #options: MfWatchOptions;
  /** In the order in which they will be asked for. */
  readonly #contexts = new Set<string>();
  /** Those of a former process, which are asked for first and without a pause. */
  readonly #unsure = new Set<string>();
  /** What it held when it was lost; null while it is not. */
  #lost: ReadonlySet<string> | null = null;
  #timer: Timer | undefined;
  #misses = 0;
  #asking = false;
  #closed = false;

  constructor(options: MfWatchOptions) {
    this.#options = options;
  }

  /** It did not answer, and has not answered since. */
  get isLost(): boolean {
    return this.#lost !== null;
  }

  add(contextId: string): void {
    this.#contexts.add(contextId);
    this.#arm(this.#options.probeMs);
  }

  /**
   * A context of a former process: whether the MF still holds it must be known soon, and the question makes us its owner
   * there, before the lease of that process ends.
   */
  adopt(contextId: string): void {
    this.#unsure.add(contextId);
    this.#contexts.add(contextId);
    this.#arm(0);
  }

  remove(contextId: string): void {
    this.#contexts.delete(contextId);
    this.#unsure.delete(contextId);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #arm(delayMs: number): void {
    const { probeMs, timers } = this.#options;
    const probes = probeMs > 0 || this.#unsure.size > 0 || this.#lost !== null;
    const nothingToAsk = this.#contexts.size === 0 && this.#lost === null;
    if (!probes || nothingToAsk || this.#closed || this.#asking || this.#timer !== undefined) return;
    this.#timer = timers.after(delayMs, () => {
      this.#timer = undefined;
      void this.#ask();
    });
  }

  async #ask(): Promise<void> {
    const [contextId = first(this.#contexts)] = this.#lost ?? this.#unsure;
    if (contextId === undefined) return;
    this.#asking = true;
    const answer = await this.#holds(contextId);
    this.#asking = false;
    if (this.#closed) return;
    if (this.#lost !== null) {
      if (answer !== 'none') this.#return();
      this.#arm(answer === 'none' ? RETRY_MS : this.#options.probeMs);
      return;
    }
    this.#misses = answer === 'none' ? this.#misses + 1 : 0;
    if (this.#misses >= MISSES) this.#lose('it does not answer');
    if (answer === 'none') {
      this.#arm(RETRY_MS);
      return;
    }
    this.#unsure.delete(contextId);
    // Its turn is over; it may also have been removed while we asked.
    if (this.#contexts.delete(contextId) && answer === 'yes') this.#contexts.add(contextId);
    if (answer === 'no') this.#options.lost(new Set([contextId]), 'it does not know the context');
    // An MF that forgot one has probably been restarted: the others are asked for at once, one round trip each.
    this.#arm(answer === 'no' || this.#unsure.size > 0 ? 0 : this.#options.probeMs);
  }

  async #holds(contextId: string): Promise<'yes' | 'no' | 'none'> {
    const { client, timers, log } = this.#options;
    const test = { op: 'test' as const, path: '/contextId', value: contextId };
    try {
      await client.patchContext(contextId, [test], { deadlineMs: timers.nowMs() + ANSWER_MS });
      return 'yes';
    } catch (error) {
      if (!(error instanceof ImsdcError)) throw error;
      if (error.code === 'MRM_NOT_FOUND') return 'no';
      // Whoever refuses is alive: overloaded, or of another opinion about the patch.
      if (error.details.status !== undefined || error.code === 'MRM_MALFORMED') return 'yes';
      // While it is lost, nobody needs to hear it every second.
      if (this.#lost === null) log.warn({ reason: error.message }, 'MF does not answer');
      return 'none';
    }
  }

  /** All of them at once: each call waits for its turn by itself. */
  #lose(reason: string): void {
    this.#misses = 0;
    const lost = new Set(this.#contexts);
    this.#contexts.clear();
    this.#unsure.clear();
    this.#options.log.error({ contexts: lost.size }, 'MF lost');
    // Without a context there is nothing to ask for until the next one is created, as before the first.
    if (lost.size === 0) return;
    this.#lost = lost;
    this.#options.lost(lost, reason);
  }

  #return(): void {
    const held = this.#lost ?? new Set<string>();
    this.#lost = null;
    this.#options.log.warn({ contexts: held.size }, 'MF is back');
    this.#options.back(held);
  }
}
