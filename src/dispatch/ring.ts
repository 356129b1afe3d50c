/**
 * Keys fall into so many slots. The busiest worker is full first, so shares must be even: with these they differ by one
 * percent, and with 4,096 it was five, which cost four workers a twentieth of what they can do.
 */
const SLOTS = 65_536;

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
    const order = Array.from({ length: workers }, (_, worker) => worker);
    const weights = new Uint32Array(workers);
    for (let slot = 0; slot < SLOTS; slot++) {
      for (let worker = 0; worker < workers; worker++) weights[worker] = mixed(slot * MAX_WORKERS + worker + 1);
      order.sort((a, b) => weights[b]! - weights[a]! || a - b);
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

/** A slot and a worker make one number: workers are numbered by an octet. */
const MAX_WORKERS = 256;

/** FNV-1a, 32 bits, then mixed: the low bits decide, and similar keys must part. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return mixed(value);
}

/** The final mix of MurmurHash3. */
function mixed(input: number): number {
  let value = Math.imul(input ^ (input >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
