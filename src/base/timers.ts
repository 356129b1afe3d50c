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

class Entry implements Timer {
  /** null once it ran or was cancelled: what it refers to is let go at once, the entry itself with its batch. */
  run: (() => void) | null;
  readonly #batch: Batch;

  constructor(run: () => void, batch: Batch) {
    this.run = run;
    this.#batch = batch;
  }

  cancel(): void {
    if (this.run === null) return;
    this.run = null;
    this.#batch.settled();
  }
}

/** The timers of one due time, in the order of setting. */
class Batch {
  readonly dueMs: number;
  /** Timers set and neither run nor cancelled. */
  live = 0;
  #entries: Entry[] = [];
  #next = 0;

  constructor(dueMs: number) {
    this.dueMs = dueMs;
  }

  add(run: () => void): Timer {
    const entry = new Entry(run, this);
    this.#entries.push(entry);
    this.live++;
    return entry;
  }

  /** Takes out the first action that is left. */
  take(): (() => void) | undefined {
    while (this.#next < this.#entries.length) {
      const entry = this.#entries[this.#next++]!;
      const { run } = entry;
      if (run === null) continue;
      entry.cancel();
      return run;
    }
    return undefined;
  }

  settled(): void {
    if (--this.live > 0) return;
    this.#entries = [];
    this.#next = 0;
  }
}

/**
 * Timers by due time. Setting, cancelling and running one cost the same however many wait: only the first timer of a due
 * time is sorted in, and who rounds due times has few of them.
 */
export class TimerQueue {
  readonly #batches = new Map<number, Batch>();
  /** The same batches, the next one last. */
  readonly #sorted: Batch[] = [];

  add(dueMs: number, run: () => void): Timer {
    let batch = this.#batches.get(dueMs);
    if (batch === undefined) {
      batch = new Batch(dueMs);
      this.#batches.set(dueMs, batch);
      this.#sorted.splice(this.#placeOf(dueMs), 0, batch);
    }
    return batch.add(run);
  }

  /** Timers set and neither run nor cancelled. */
  get size(): number {
    return this.#sorted.reduce((sum, { live }) => sum + live, 0);
  }

  /** When the next timer is due; Infinity when none waits. */
  nextDueMs(): number {
    return this.#first()?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  /** Takes out the next action that is due at `nowMs`, in the order of due time, then of setting. */
  takeDue(nowMs: number): (() => void) | undefined {
    const batch = this.#first();
    return batch === undefined || batch.dueMs > nowMs ? undefined : batch.take();
  }

  clear(): void {
    this.#batches.clear();
    this.#sorted.length = 0;
  }

  #first(): Batch | undefined {
    for (let batch = this.#sorted.at(-1); batch !== undefined; batch = this.#sorted.at(-1)) {
      if (batch.live > 0) return batch;
      this.#sorted.pop();
      this.#batches.delete(batch.dueMs);
    }
    return undefined;
  }

  #placeOf(dueMs: number): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sorted[middle]!.dueMs > dueMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }
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

/** Time of this process, on one `setTimeout`. Monotonic: a clock that is set back delays nothing. */
export class RealTimers implements Timers {
  readonly #queue = new TimerQueue();
  readonly #onError: (error: unknown) => void;
  #wakeMs = Number.POSITIVE_INFINITY;
  #sleep: NodeJS.Timeout | undefined;
  #running = false;

  /** `onError` gets what an action throws; the other actions run all the same. */
  constructor(onError: (error: unknown) => void = rethrowLater) {
    this.#onError = onError;
  }

  nowMs(): number {
    return Math.floor(performance.timeOrigin + performance.now());
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
