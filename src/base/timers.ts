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
  readonly dueMs: number;
  readonly sequence: number;
  /** null once it ran or was cancelled: what it refers to is let go at once, the entry itself when it is reached. */
  run: (() => void) | null;
  readonly #queue: TimerQueue;

  constructor(dueMs: number, sequence: number, run: () => void, queue: TimerQueue) {
    this.dueMs = dueMs;
    this.sequence = sequence;
    this.run = run;
    this.#queue = queue;
  }

  cancel(): void {
    if (this.run === null) return;
    this.run = null;
    this.#queue.live--;
  }
}

/** First in, first out; sorted by itself, because every entry waits the same time. */
class Lane {
  #entries: Entry[] = [];
  #head = 0;

  push(entry: Entry): void {
    this.#entries.push(entry);
  }

  /** The first entry that still runs. */
  first(): Entry | undefined {
    while (this.#head < this.#entries.length && this.#entries[this.#head]!.run === null) this.#head++;
    if (this.#head > 1024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    if (this.#head < this.#entries.length) return this.#entries[this.#head];
    this.#entries.length = 0;
    this.#head = 0;
    return undefined;
  }
}

/**
 * Timers by due time: one lane per fixed duration, so that setting and cancelling cost the same however many wait.
 * SIP has about a dozen durations. Odd ones are rounded up to 10 ms, so that there are never more than a few hundred.
 */
export class TimerQueue {
  /** Timers set and neither run nor cancelled. */
  live = 0;
  readonly #lanes = new Map<number, Lane>();
  #sequence = 0;

  add(nowMs: number, delayMs: number, run: () => void): Timer & { readonly dueMs: number } {
    const wait = laneOf(delayMs);
    let lane = this.#lanes.get(wait);
    if (lane === undefined) this.#lanes.set(wait, (lane = new Lane()));
    const entry = new Entry(nowMs + wait, this.#sequence++, run, this);
    lane.push(entry);
    this.live++;
    return entry;
  }

  /** When the next timer is due; Infinity when none waits. */
  nextDueMs(): number {
    return this.#next()?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  /** Takes out the next action that is due at `nowMs`, in the order of due time, then of setting. */
  takeDue(nowMs: number): (() => void) | undefined {
    const entry = this.#next();
    if (entry === undefined || entry.dueMs > nowMs) return undefined;
    const { run } = entry;
    entry.cancel();
    return run ?? undefined;
  }

  clear(): void {
    this.#lanes.clear();
    this.live = 0;
  }

  #next(): Entry | undefined {
    let best: Entry | undefined;
    for (const [wait, lane] of this.#lanes) {
      const entry = lane.first();
      if (entry === undefined) this.#lanes.delete(wait);
      else if (
        best === undefined ||
        entry.dueMs < best.dueMs ||
        (entry.dueMs === best.dueMs && entry.sequence < best.sequence)
      ) {
        best = entry;
      }
    }
    return best;
  }
}

function laneOf(delayMs: number): number {
  const whole = Math.max(1, Math.ceil(delayMs));
  return whole % 10 === 0 || whole < 10 ? whole : Math.ceil(whole / 10) * 10;
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
    const timer = this.#queue.add(this.nowMs(), delayMs, run);
    if (timer.dueMs < this.#wakeMs && !this.#running) this.#sleepUntil(timer.dueMs);
    return timer;
  }

  /** Timers that wait. */
  get size(): number {
    return this.#queue.live;
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
    return this.#queue.add(this.#nowMs, delayMs, run);
  }

  get size(): number {
    return this.#queue.live;
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
