/** A freed port rests this long, so that late packets of a dead call never meet a new one (R6). */
export const PORT_REST_MS = 30_000;

export interface PortPoolOptions {
  readonly first: number;
  /** Included. */
  readonly last: number;
  /** Milliseconds on a clock that never goes back. */
  readonly nowMs: () => number;
}

/** The UDP ports of the MF; the MF alone assigns them (R6). The longest unused port goes first. */
export class PortPool {
  readonly size: number;
  readonly #nowMs: () => number;
  /** Ports never used, then ports whose rest is over, in the order in which they were freed. */
  readonly #free: Queue<number>;
  readonly #resting = new Queue<{ port: number; untilMs: number }>();
  #taken = 0;

  constructor(options: PortPoolOptions) {
    this.size = options.last - options.first + 1;
    this.#nowMs = options.nowMs;
    this.#free = new Queue(Array.from({ length: this.size }, (_, i) => options.first + i));
  }

  get taken(): number {
    return this.#taken;
  }

  /** For the next calls; a port whose rest has ended still counts as resting until it is asked for. */
  get available(): number {
    return this.#free.length;
  }

  get resting(): number {
    return this.#resting.length;
  }

  /** Undefined: all ports are taken or resting. */
  take(): number | undefined {
    const nowMs = this.#nowMs();
    for (let head = this.#resting.peek(); head && head.untilMs <= nowMs; head = this.#resting.peek()) {
      this.#free.push(this.#resting.shift()!.port);
    }
    const port = this.#free.shift();
    if (port !== undefined) this.#taken++;
    return port;
  }

  /** Gives a taken port back; also one that turned out to be bound by somebody else. */
  free(port: number): void {
    this.#taken--;
    this.#resting.push({ port, untilMs: this.#nowMs() + PORT_REST_MS });
  }
}

/** First in, first out; amortised constant time for ten thousand ports, where `Array.shift` is linear. */
class Queue<T> {
  #items: T[];
  #head = 0;

  constructor(items: T[] = []) {
    this.#items = items;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  peek(): T | undefined {
    return this.#items[this.#head];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head++];
    if (this.#head > 1_024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
