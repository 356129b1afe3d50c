import type { Logger } from '../base/log.ts';
import type { Counter } from '../base/metrics.ts';
import type { Timers } from '../base/timers.ts';
import type { NmfMrm } from '../services/nmf-mrm.ts';

export interface UnwantedContextsOptions {
  readonly client: Pick<NmfMrm, 'deleteContext'>;
  readonly timers: Timers;
  readonly log: Logger;
  /** Counts those that could not be deleted. */
  readonly orphans: Counter;
  /** Nobody answers there: what is left waits until somebody does. */
  isLost(): boolean;
}

/** How often a context that nobody needs is tried to be deleted. */
const MAX_ATTEMPTS = 4;
const PAUSE_MS = 2_000;
const DEADLINE_MS = 10_000;

/**
 * What one MF holds of ours and no call needs any more. It must go by DELETE: an MF that we talk to keeps all that we
 * ever had there, because one lease covers it all (R25).
 */
export class UnwantedContexts {
  readonly #options: UnwantedContextsOptions;
  /** Held by an MF that was lost, for when it is back: at most what it held then. */
  readonly #left = new Set<string>();
  #working = false;
  #closed = false;

  constructor(options: UnwantedContextsOptions) {
    this.#options = options;
  }

  /** Those that are left to be deleted, or that wait for the MF. */
  get size(): number {
    return this.#left.size;
  }

  /** One that a call gives back. Resolves when it is gone, or counted as an orphan. `deadlineMs`: of the first attempt, at least. */
  async delete(contextId: string, deadlineMs = 0): Promise<void> {
    const { client, isLost, log, orphans, timers } = this.#options;
    for (let attempt = 1; !isLost(); attempt++) {
      try {
        await client.deleteContext(contextId, { deadlineMs: Math.max(deadlineMs, timers.nowMs() + DEADLINE_MS) });
        return;
      } catch (error) {
        if (attempt === MAX_ATTEMPTS || this.#closed) {
          orphans.value++;
          log.warn({ contextId, reason: (error as Error).message }, 'MF context not deleted; its lease ends it');
          return;
        }
        await new Promise<void>((resolve) => timers.after(PAUSE_MS, resolve));
      }
    }
    this.#left.add(contextId);
  }

  /** The MF answers again: what it still holds goes, one context after the other, so that it is not the next load. */
  async cleanUp(contextIds: ReadonlySet<string>): Promise<void> {
    for (const contextId of contextIds) this.#left.add(contextId);
    if (this.#working) return;
    this.#working = true;
    // Lost once more, it still holds the others when it is back.
    for (const contextId of this.#left) {
      if (this.#closed || this.#options.isLost()) break;
      this.#left.delete(contextId);
      await this.delete(contextId);
    }
    this.#working = false;
  }

  close(): void {
    this.#closed = true;
  }
}
