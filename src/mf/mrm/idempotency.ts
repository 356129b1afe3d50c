/** An answer is remembered this long: a consumer that repeats a request does so within its deadline. */
const REMEMBERED_MS = 60_000;
/** Older answers are forgotten first. */
const MAX_REMEMBERED = 50_000;

/**
 * Executes a request once per key (3gpp-Sbi-Request-Info idempotency-key). A repetition gets the first one's outcome,
 * also while that is still at work; failures are forgotten, so that a repetition tries again.
 */
export class Idempotency<T> {
  readonly #entries = new Map<string, { outcome: Promise<T>; untilMs: number }>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  once(key: string | undefined, execute: () => Promise<T>): Promise<T> {
    if (key === undefined) return execute();
    const known = this.#entries.get(key);
    if (known && known.untilMs > this.#nowMs()) return known.outcome;
    const outcome = execute();
    this.#entries.delete(key);
    this.#entries.set(key, { outcome, untilMs: this.#nowMs() + REMEMBERED_MS });
    if (this.#entries.size > MAX_REMEMBERED) this.#entries.delete(this.#entries.keys().next().value!);
    outcome.catch(() => {
      if (this.#entries.get(key)?.outcome === outcome) this.#entries.delete(key);
    });
    return outcome;
  }

  /** Call now and then. Entries are in the order of their age. */
  forgetOld(): void {
    const nowMs = this.#nowMs();
    for (const [key, { untilMs }] of this.#entries) {
      if (untilMs > nowMs) return;
      this.#entries.delete(key);
    }
  }
}
