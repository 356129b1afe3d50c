import type { Timer, Timers } from '../../base/timers.ts';

/** The timers of the transaction layer, which names them by number, on the clock of the process. */
export class ArmedTimers {
  readonly #timers: Timers;
  readonly #due: (id: number, nowMs: number) => void;
  readonly #armed = new Map<number, Timer>();
  #closed = false;

  constructor(timers: Timers, due: (id: number, nowMs: number) => void) {
    this.#timers = timers;
    this.#due = due;
  }

  get size(): number {
    return this.#armed.size;
  }

  /** Arms `id` anew; one that is armed already is moved. */
  arm(id: number, atMs: number): void {
    if (this.#closed) return;
    const timer = this.#timers.after(atMs - this.#timers.nowMs(), () => {
      this.#armed.delete(id);
      this.#due(id, this.#timers.nowMs());
    });
    this.#armed.get(id)?.cancel();
    this.#armed.set(id, timer);
  }

  disarm(id: number): void {
    this.#armed.get(id)?.cancel();
    this.#armed.delete(id);
  }

  /** Cancels all; none is armed any more. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#armed.values()) timer.cancel();
    this.#armed.clear();
  }
}
