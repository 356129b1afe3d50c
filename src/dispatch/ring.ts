/** Keys fall into so many slots: the shares of eight workers differ by a few percent. */
const SLOTS = 4096;

/**
 * Consistent hashing of calls over workers: each slot has its own order of preference, so a worker that is down hands
 * its calls to all others evenly and takes no call of theirs with it.
 */
export class HashRing {
  readonly #workers: number;
  /** SLOTS rows of worker numbers, most preferred first. */
  readonly #order: Uint8Array;

  constructor(workers: number) {
    this.#workers = workers;
    this.#order = new Uint8Array(SLOTS * workers);
    for (let slot = 0; slot < SLOTS; slot++) {
      const weights = Array.from({ length: workers }, (_, worker) => hash(`${slot} ${worker}`));
      const order = [...weights.keys()].sort((a, b) => weights[b]! - weights[a]! || a - b);
      this.#order.set(order, slot * workers);
    }
  }

  /** The worker that `key` belongs to. */
  home(key: string): number {
    return this.#order[(hash(key) % SLOTS) * this.#workers]!;
  }

  /** The first in the order of `key` for which `usable` holds; its home when there is none. */
  pick(key: string, usable: (worker: number) => boolean): number {
    const row = (hash(key) % SLOTS) * this.#workers;
    for (let place = 0; place < this.#workers; place++) {
      const worker = this.#order[row + place]!;
      if (usable(worker)) return worker;
    }
    return this.#order[row]!;
  }
}

/** FNV-1a, 32 bits, with the final mix of MurmurHash3: the low bits decide, and similar keys must part. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
