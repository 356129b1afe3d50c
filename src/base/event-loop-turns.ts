/** Arrivals per second above which the loop keeps its own pace: with fewer, too few would come together. */
const DENSE_PER_SECOND = 800;
/** Density is judged over so long. */
const WINDOW_MS = 50;

export interface EventLoopTurnsOptions {
  /** While input is dense a turn begins this long after the one before at the earliest; 0: at once, always. */
  readonly paceMs: number;
  /** Milliseconds that only grow. */
  readonly clock?: () => number;
  /** Lets this thread sleep. */
  readonly rest?: (ms: number) => void;
  /** Runs it when this turn has dealt with all input that was there. */
  readonly afterInput?: (run: () => void) => void;
}

/**
 * What is done once per turn of the event loop instead of once per message: output leaves together, and while messages
 * come densely the loop rests between two turns, so that input comes together too. A process that sleeps and wakes for
 * each datagram finds its caches cold each time, and pays for that twice what the work costs (bench/README.md).
 */
export class EventLoopTurns {
  readonly #paceMs: number;
  readonly #clock: () => number;
  readonly #rest: (ms: number) => void;
  readonly #afterInput: (run: () => void) => void;
  readonly #end = () => this.#turnEnded();
  #actions: (() => void)[] = [];
  #waiting = false;
  #arrived = 0;
  #windowMs = 0;
  #beganMs = 0;
  #dense = false;

  constructor({ paceMs, clock, rest, afterInput }: EventLoopTurnsOptions) {
    this.#paceMs = paceMs;
    this.#clock = clock ?? (() => performance.now());
    this.#rest = rest ?? restThread;
    this.#afterInput = afterInput ?? setImmediate;
  }

  /** So many messages have come in. */
  arrived(count: number): void {
    this.#arrived += count;
    this.#awaitEnd();
  }

  /** Runs `action` at the end of this turn, before any rest. It does not throw. */
  atEnd(action: () => void): void {
    this.#actions.push(action);
    this.#awaitEnd();
  }

  #awaitEnd(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#afterInput(this.#end);
  }

  #turnEnded(): void {
    this.#waiting = false;
    const actions = this.#actions;
    if (actions.length > 0) {
      this.#actions = [];
      for (const action of actions) action();
    }
    if (this.#paceMs > 0) this.#keepPace();
  }

  #keepPace(): void {
    const nowMs = this.#clock();
    const windowMs = nowMs - this.#windowMs;
    if (windowMs >= WINDOW_MS) {
      this.#dense = (this.#arrived * 1000) / windowMs >= DENSE_PER_SECOND;
      this.#arrived = 0;
      this.#windowMs = nowMs;
    }
    if (!this.#dense) {
      this.#beganMs = nowMs;
      return;
    }
    const restMs = this.#paceMs - (nowMs - this.#beganMs);
    if (restMs > 0) this.#rest(restMs);
    this.#beganMs = restMs > 0 ? this.#clock() : nowMs;
    // Also a turn that brings nothing ends with a rest, or the loop would wake for each message again.
    this.#awaitEnd();
  }
}

const NEVER_WOKEN = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

function restThread(ms: number): void {
  Atomics.wait(NEVER_WOKEN, 0, 0, ms);
}
