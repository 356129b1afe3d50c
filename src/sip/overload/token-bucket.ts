/** A bucket that is full at first. */
interface Bucket {
  tokens: number;
  filledMs: number;
}

/** Token buckets by key. At most `maxKeys`: the one that was not used for longest is forgotten, which fills it. */
export class TokenBuckets {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #maxKeys: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(options: { perSecond: number; burst: number; maxKeys: number }) {
    this.#perSecond = options.perSecond;
    this.#burst = options.burst;
    this.#maxKeys = options.maxKeys;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one token of `key`, or says that there is none. */
  take(key: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(key) ?? { tokens: this.#burst, filledMs: nowMs };
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > this.#maxKeys) this.#buckets.delete(this.#buckets.keys().next().value!);
    const gained = (Math.max(0, nowMs - bucket.filledMs) * this.#perSecond) / 1000;
    bucket.tokens = Math.min(this.#burst, bucket.tokens + gained);
    bucket.filledMs = nowMs;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}
