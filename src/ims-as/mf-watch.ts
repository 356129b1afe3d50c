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
  /** Contexts that the MF does not hold any more; each is named once. */
  lost(contextIds: ReadonlySet<string>, reason: string): void;
}

/** A question without an answer in this time counts as a miss. */
const ANSWER_MS = 2_000;
/** After a miss the next question does not wait for `probeMs`. */
const RETRY_MS = 1_000;
/** So many misses in a row, and the MF is lost: one may be a packet, or a restart of the connection. */
const MISSES = 2;
/** R25: repairs are paced, so that the calls of a large MF do not re-negotiate all at once. */
const LOST_BATCH = 50;
const LOST_BATCH_MS = 100;

function first<T>(values: Iterable<T>): T | undefined {
  const [value] = values;
  return value;
}

/**
 * Whether one MF still holds our contexts (R25). Nmf_MRM has no read: a PATCH of `test` operations asks for one context
 * after the other, and 404 means lost. An MF that does not answer at all has lost every context.
 */
export class MfWatch {
  readonly #options: MfWatchOptions;
  /** In the order in which they will be asked for. */
  readonly #contexts = new Set<string>();
  /** Those of a former process, which are asked for first and without a pause. */
  readonly #unsure = new Set<string>();
  #timer: Timer | undefined;
  #misses = 0;
  #asking = false;
  #closed = false;

  constructor(options: MfWatchOptions) {
    this.#options = options;
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
    if (
      (probeMs === 0 && this.#unsure.size === 0) ||
      this.#closed ||
      this.#asking ||
      this.#timer !== undefined ||
      this.#contexts.size === 0
    )
      return;
    this.#timer = timers.after(delayMs, () => {
      this.#timer = undefined;
      void this.#ask();
    });
  }

  async #ask(): Promise<void> {
    const [contextId = first(this.#contexts)] = this.#unsure;
    if (contextId === undefined) return;
    this.#asking = true;
    const answer = await this.#holds(contextId);
    this.#asking = false;
    if (this.#closed) return;
    this.#misses = answer === 'none' ? this.#misses + 1 : 0;
    if (this.#misses >= MISSES) {
      this.#lose('it does not answer');
      return;
    }
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
      log.warn({ reason: error.message }, 'MF does not answer');
      return 'none';
    }
  }

  /** All of them, in batches. Those of calls that end meanwhile are left out. */
  #lose(reason: string): void {
    this.#misses = 0;
    const lost = new Set(this.#contexts);
    this.#contexts.clear();
    this.#unsure.clear();
    this.#options.log.error({ contexts: lost.size }, 'MF lost');
    const next = () => {
      if (this.#closed) return;
      const batch = new Set([...lost].slice(0, LOST_BATCH));
      for (const contextId of batch) lost.delete(contextId);
      this.#options.lost(batch, reason);
      if (lost.size > 0) this.#options.timers.after(LOST_BATCH_MS, next);
    };
    next();
  }
}
