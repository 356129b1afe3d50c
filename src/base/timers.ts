import { TimerQueue } from './timer-queue.ts';

/** A timer that was set; `cancel` any number of times. */
export interface Timer {
  cancel(): void;
}

/** The only source of time at the edge: `RealTimers` in a process, `VirtualTimers` in tests and the simulator. */
export interface Timers {
  /** Epoch milliseconds, whole and monotonic. */
  nowMs(): number;
  /** Runs `run` once, `delayMs` from now, never before the caller has returned. */
  after(delayMs: number, run: () => void): Timer;
}

/** A timer never runs before the caller has returned. */
function wholeWaitMs(delayMs: number): number {
  return Math.max(1, Math.ceil(delayMs));
}

const SHARED_TICK_MS = 10;
const SHORTEST_SHARED_WAIT_MS = 250;

/**
 * When a timer of the process is due. Waits of SIP's kind (T1 is 500 ms) end on a common tick, late by less than that: the
 * process then wakes at most a hundred times a second for them, not once for each transaction. Shorter ones are exact.
 */
export function sharedDueMs(nowMs: number, delayMs: number): number {
  const waitMs = wholeWaitMs(delayMs);
  const tickMs = waitMs < SHORTEST_SHARED_WAIT_MS ? 1 : SHARED_TICK_MS;
  return Math.ceil((nowMs + waitMs) / tickMs) * tickMs;
}

/** Node refuses longer timeouts. */
const LONGEST_SLEEP_MS = 2 ** 31 - 1;

const STARTED_AT_MS = performance.timeOrigin;

/** Time of this process, on one `setTimeout`. Monotonic: a clock that is set back delays nothing. */
export class RealTimers implements Timers {
  readonly #queue = new TimerQueue();
  readonly #onError: (error: unknown) => void;
  #wakeMs = Number.POSITIVE_INFINITY;
  #sleep: NodeJS.Timeout | undefined;
  #running = false;
  #keepsAlive = true;

  /** `onError` gets what an action throws; the other actions run all the same. */
  constructor(onError: (error: unknown) => void = rethrowLater) {
    this.#onError = onError;
  }

  /** From now on its timers alone keep no process alive. */
  unref(): this {
    this.#keepsAlive = false;
    return this;
  }

  nowMs(): number {
    return Math.floor(STARTED_AT_MS + performance.now());
  }

  after(delayMs: number, run: () => void): Timer {
    const dueMs = sharedDueMs(this.nowMs(), delayMs);
    const timer = this.#queue.add(dueMs, run);
    if (dueMs < this.#wakeMs && !this.#running) this.#sleepUntil(dueMs);
    return timer;
  }

  /** Timers that wait. */
  get size(): number {
    return this.#queue.size;
  }

  /** Forgets every timer; nothing keeps the process alive afterwards. */
  close(): void {
    clearTimeout(this.#sleep);
    this.#queue.clear();
    this.#wakeMs = Number.POSITIVE_INFINITY;
  }

  #sleepUntil(dueMs: number): void {
    clearTimeout(this.#sleep);
    this.#wakeMs = dueMs;
    if (dueMs === Number.POSITIVE_INFINITY) return;
    const sleepMs = Math.min(Math.max(dueMs - this.nowMs(), 1), LONGEST_SLEEP_MS);
    this.#sleep = setTimeout(() => this.#wake(), sleepMs);
    if (!this.#keepsAlive) this.#sleep.unref();
  }

  #wake(): void {
    this.#running = true;
    const nowMs = this.nowMs();
    for (let run = this.#queue.takeDue(nowMs); run !== undefined; run = this.#queue.takeDue(nowMs)) {
      try {
        run();
      } catch (error) {
        this.#onError(error);
      }
    }
    this.#running = false;
    this.#sleepUntil(this.#queue.nextDueMs());
  }
}

function rethrowLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

/** Time that passes only when told to. */
export class VirtualTimers implements Timers {
  readonly #queue = new TimerQueue();
  #nowMs: number;

  constructor(nowMs = 1_000_000) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#queue.add(this.#nowMs + wholeWaitMs(delayMs), run);
  }

  get size(): number {
    return this.#queue.size;
  }

  nextDueMs(): number {
    return this.#queue.nextDueMs();
  }

  /** Lets `ms` pass: everything that falls due runs at its own time, in order. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    while (this.nextDueMs() <= endMs) this.step();
    this.#nowMs = endMs;
  }

  /** Goes to the next due time and runs one action; false when none waits. */
  step(): boolean {
    const dueMs = this.#queue.nextDueMs();
    if (dueMs === Number.POSITIVE_INFINITY) return false;
    this.#nowMs = Math.max(this.#nowMs, dueMs);
    this.#queue.takeDue(this.#nowMs)?.();
    return true;
  }
}
