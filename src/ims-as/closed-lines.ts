import type { Timers } from '../base/timers.ts';

/** A line whose DC AS has closed the last channel. */
export interface ClosedLine {
  readonly contextId: string;
  readonly mediaId: string;
}

const TICK_MS = 100;
/** So many lines in TICK_MS: each becomes a re-INVITE, and a DC AS that closes all of its own must not flood the UEs. */
const LINES_PER_TICK = 10;
/** Above it lines stay as they are, and are counted: they cost a port each, until their UEs or calls end them. */
const MAX_WAITING = 10_000;

/** Passes closed lines on, at a pace, several at a time so that whoever looks for their calls looks once. */
export class ClosedLines {
  dropped = 0;
  readonly #timers: Timers;
  readonly #take: (lines: readonly ClosedLine[]) => void;
  readonly #waiting: ClosedLine[] = [];
  #running = false;

  constructor(timers: Timers, take: (lines: readonly ClosedLine[]) => void) {
    this.#timers = timers;
    this.#take = take;
  }

  add(line: ClosedLine): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.dropped++;
      return;
    }
    this.#waiting.push(line);
    if (!this.#running) this.#run();
  }

  #run(): void {
    this.#running = true;
    this.#timers.after(TICK_MS, () => {
      const lines = this.#waiting.splice(0, LINES_PER_TICK);
      this.#running = false;
      if (this.#waiting.length > 0) this.#run();
      this.#take(lines);
    });
  }
}
