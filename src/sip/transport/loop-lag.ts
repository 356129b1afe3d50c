import type { Timer, Timers } from '../../base/timers.ts';

const SAMPLE_MS = 100;

/** Measures how late the event loop runs what is due. Starts at once. */
export class LoopLag {
  readonly #timers: Timers;
  readonly #observe: (lagMs: number) => void;
  #timer: Timer;

  constructor(timers: Timers, observe: (lagMs: number) => void) {
    this.#timers = timers;
    this.#observe = observe;
    this.#timer = this.#arm();
  }

  close(): void {
    this.#timer.cancel();
  }

  #arm(): Timer {
    const dueMs = this.#timers.nowMs() + SAMPLE_MS;
    return this.#timers.after(SAMPLE_MS, () => {
      this.#observe(Math.max(0, this.#timers.nowMs() - dueMs));
      this.#timer = this.#arm();
    });
  }
}
