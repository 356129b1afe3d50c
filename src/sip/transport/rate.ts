/** Lets `perSecond` events through in each second and counts the rest: answers to noise must not amplify it. */
export class RateLimit {
  readonly #perSecond: number;
  #windowMs = Number.NEGATIVE_INFINITY;
  #used = 0;
  /** Held back since the last event that was let through. */
  suppressed = 0;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  allows(nowMs: number): boolean {
    if (nowMs - this.#windowMs >= 1000) {
      this.#windowMs = nowMs;
      this.#used = 0;
    }
    if (this.#used++ < this.#perSecond) return true;
    this.suppressed++;
    return false;
  }

  /** `suppressed`, and starts to count anew. */
  takeSuppressed(): number {
    const count = this.suppressed;
    this.suppressed = 0;
    return count;
  }
}
