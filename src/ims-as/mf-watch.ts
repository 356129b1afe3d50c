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
  /** An MF that says nothing for so long is lost. */
  readonly patienceMs: number;
  /** Contexts that the MF does not hold any more, or that nobody can reach; each is named once. */
  lost(contextIds: ReadonlySet<string>, reason: string): void;
  /** An MF that was lost answers again. It may still hold `contextIds`, which are in use no more. */
  back(contextIds: ReadonlySet<string>): void;
}

/** After a question without an answer the next one does not wait for `probeMs`; nor does it while the MF is lost. */
const RETRY_MS = 1_000;
/** So many refused connections in a row, and the MF is lost: one may be a connection, or a process that is started again. */
const MAX_REFUSALS = 2;
/** A question is open at least so long, also at the end of the patience, and while the MF is lost. */
const MIN_ANSWER_MS = 2_000;
/** A timer that runs so late says that this process did not get to run: an answer may wait to be read. */
const MAX_LATENESS_MS = 500;

/**
 * `held` and `unknown` are life. `refused`: the MF's host says that nobody is there. `silence` may as well be a machine
 * that is short of time, or a network that is.
 */
type Answer = 'held' | 'unknown' | 'refused' | 'silence';

function first<T>(values: Iterable<T>): T | undefined {
  const [value] = values;
  return value;
}

/**
 * Whether one MF still holds our contexts (R25). Nmf_MRM has no read: a PATCH of `test` operations asks for one context
 * after the other, and 404 means lost. An MF whose host refuses connections, or that is silent for too long, has lost
 * every context; it is asked on until it is back.
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
  #refusals = 0;
  /** Its host ended a session, and it has not answered since. */
  #ended = false;
  /** When the first question was asked that got no answer, and none since; null: it answered the last one. */
  #silentSinceMs: number | null = null;
  #askedMs = Number.NEGATIVE_INFINITY;
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

  /** A connection was ended by the MF's host. Who is killed says no more than that, so it is asked at once. */
  suspect(): void {
    this.#ended = true;
    if (this.#timer === undefined || this.#silentSinceMs !== null || this.#lost !== null) return;
    this.#timer.cancel();
    this.#timer = undefined;
    // One that ends its connections after each answer is not asked more often than one that is silent.
    this.#arm(Math.max(0, this.#askedMs + RETRY_MS - this.#options.timers.nowMs()));
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
    const answers = answer === 'held' || answer === 'unknown';
    if (this.#lost !== null) {
      if (answers) this.#return();
      this.#arm(answers ? this.#options.probeMs : RETRY_MS);
      return;
    }
    if (!answers) {
      this.#miss(answer);
      this.#arm(RETRY_MS);
      return;
    }
    this.#refusals = 0;
    this.#ended = false;
    this.#silentSinceMs = null;
    this.#unsure.delete(contextId);
    // Its turn is over; it may also have been removed while we asked.
    if (this.#contexts.delete(contextId) && answer === 'held') this.#contexts.add(contextId);
    if (answer === 'unknown') this.#options.lost(new Set([contextId]), 'it does not know the context');
    // An MF that forgot one has probably been restarted: the others are asked for at once, one round trip each.
    this.#arm(answer === 'unknown' || this.#unsure.size > 0 ? 0 : this.#options.probeMs);
  }

  /** Until when the question that is asked now may be answered. */
  #deadlineMs(): number {
    if (this.#lost !== null) return this.#askedMs + MIN_ANSWER_MS;
    const patientUntilMs = (this.#silentSinceMs ?? this.#askedMs) + this.#options.patienceMs;
    return Math.max(patientUntilMs, this.#askedMs + MIN_ANSWER_MS);
  }

  #miss(answer: 'refused' | 'silence'): void {
    const nowMs = this.#options.timers.nowMs();
    if (answer === 'silence' && nowMs > this.#deadlineMs() + MAX_LATENESS_MS) {
      this.#silentSinceMs = null;
      return;
    }
    this.#silentSinceMs ??= this.#askedMs;
    if (answer === 'refused') this.#refusals++;
    if (this.#refusals >= MAX_REFUSALS) this.#lose('nobody is there');
    else if (nowMs - this.#silentSinceMs >= this.#options.patienceMs) this.#lose('it does not answer');
  }

  async #holds(contextId: string): Promise<Answer> {
    const { client, timers, log } = this.#options;
    const test = { op: 'test' as const, path: '/contextId', value: contextId };
    this.#askedMs = timers.nowMs();
    try {
      await client.patchContext(contextId, [test], { deadlineMs: this.#deadlineMs() });
      return 'held';
    } catch (error) {
      if (!(error instanceof ImsdcError)) {
        // A fault of ours says nothing of the MF, and must not end the watch, nor the process.
        log.error({ err: error, contextId }, 'MF could not be asked');
        return 'silence';
      }
      if (error.code === 'MRM_NOT_FOUND') return 'unknown';
      // Whoever refuses is alive: overloaded, or of another opinion about the patch.
      if (error.details.status !== undefined || error.code === 'MRM_MALFORMED') return 'held';
      // While it is lost, nobody needs to hear it every second.
      if (this.#lost === null) log.warn({ reason: error.message }, 'MF does not answer');
      // Where a container or a machine ends, its address goes too, and then nobody is there to refuse a connection.
      const isGone = this.#ended && error.code === 'MRM_UNAVAILABLE';
      return error.details.endedByPeer === true || isGone ? 'refused' : 'silence';
    }
  }

  /** All of them at once: each call waits for its turn by itself. */
  #lose(reason: string): void {
    this.#refusals = 0;
    this.#ended = false;
    this.#silentSinceMs = null;
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
