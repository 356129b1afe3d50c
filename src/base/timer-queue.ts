import type { Timer } from './timers.ts';

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
  /** The same batches as a binary heap: no batch is due before the one at (index - 1) / 2. */
  readonly #heap: Batch[] = [];

  add(dueMs: number, run: () => void): Timer {
    let batch = this.#batches.get(dueMs);
    if (batch === undefined) {
      batch = new Batch(dueMs);
      this.#batches.set(dueMs, batch);
      this.#rise(batch);
    }
    return batch.add(run);
  }

  /** Timers set and neither run nor cancelled. */
  get size(): number {
    return this.#heap.reduce((sum, { live }) => sum + live, 0);
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
    this.#heap.length = 0;
  }

  #first(): Batch | undefined {
    for (let batch = this.#heap[0]; batch !== undefined; batch = this.#heap[0]) {
      if (batch.live > 0) return batch;
      this.#batches.delete(batch.dueMs);
      const last = this.#heap.pop()!;
      if (last !== batch) this.#sink(last);
    }
    return undefined;
  }

  /** Puts a new batch in its place, from the end upwards. */
  #rise(batch: Batch): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const above = (at - 1) >>> 1;
      if (heap[above]!.dueMs < batch.dueMs) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = batch;
  }

  /** Puts a batch in its place, from the top downwards, where a gap is. */
  #sink(batch: Batch): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below + 1 < heap.length && heap[below + 1]!.dueMs < heap[below]!.dueMs) below++;
      if (below >= heap.length || batch.dueMs < heap[below]!.dueMs) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = batch;
  }
}
