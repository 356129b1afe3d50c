import type { Timers } from '../../base/timers.ts';
import type { TransactionTimerHandle } from '../types.ts';

/** The timers of the transaction layer on the clock of the process. Each handle keeps its own: no table grows here. */
export class ArmedTimers {
  readonly #timers: Timers;
  readonly #due: (handle: TransactionTimerHandle, nowMs: number) => void;
  #size = 0;
  #closed = false;

  constructor(timers: Timers, due: (handle: TransactionTimerHandle, nowMs: number) => void) {
    this.#timers = timers;
    this.#due = due;
  }

  get size(): number {
    return this.#size;
  }

  /** Arms `handle` anew; one that is armed already is moved. */
  arm(handle: TransactionTimerHandle, atMs: number): void {
    if (this.#closed) return;
    this.disarm(handle);
    this.#size++;
    handle.armed = this.#timers.after(atMs - this.#timers.nowMs(), () => {
      handle.armed = undefined;
      this.#size--;
      this.#due(handle, this.#timers.nowMs());
    });
  }

  disarm(handle: TransactionTimerHandle): void {
    if (handle.armed === undefined) return;
    handle.armed.cancel();
    handle.armed = undefined;
    this.#size--;
  }

  /** Arms none from now on; the layer disarms what is armed as it closes. */
  close(): void {
    this.#closed = true;
  }
}
