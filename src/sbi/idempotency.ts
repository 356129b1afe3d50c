/** An outcome is remembered this long: a consumer that repeats a request does so within its deadline. */
const REMEMBERED_MS = 60_000;
/** The oldest are forgotten first. */
const MAX_REMEMBERED = 50_000;

/**
 * Executes a request once per key (3gpp-Sbi-Request-Info idempotency-key). A repetition gets the outcome of the first,
 * also while that is under way. Failures are forgotten: nothing was done, so a repetition may try again.
 */
export class Idempotency<T> {
  readonly #outcomes = new Map<string, { readonly outcome: Promise<T>; readonly untilMs: number }>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  get size(): number {
    return this.#outcomes.size;
  }

  once(key: string | undefined, execute: () => Promise<T>): Promise<T> {
    if (key === undefined) return execute();
    const nowMs = this.#nowMs();
    this.#forget(nowMs);
    const known = this.#outcomes.get(key);
    if (known) return known.outcome;
    const outcome = execute();
    this.#outcomes.set(key, { outcome, untilMs: nowMs + REMEMBERED_MS });
    outcome.catch(() => {
      if (this.#outcomes.get(key)?.outcome === outcome) this.#outcomes.delete(key);
    });
    return outcome;
  }

  /** Entries are in the order of their age, so this touches only those that go. */
  #forget(nowMs: number): void {
    for (const [key, { untilMs }] of this.#outcomes) {
      if (untilMs > nowMs && this.#outcomes.size < MAX_REMEMBERED) return;
      this.#outcomes.delete(key);
    }
  }
}
