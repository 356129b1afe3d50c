import type { StreamFramer } from './framer.ts';

/** Half a message holds its connection, and whatever is to come over it, for as long as its peer likes: not so here. */
export class MessageDeadline {
  readonly #framer: StreamFramer;
  readonly #timeoutMs: number;
  readonly #onOver: () => void;
  #timer: NodeJS.Timeout | undefined;
  /** The message that the timer is for: so many were whole before it. */
  #after = 0;

  /** `onOver`: a message has begun `timeoutMs` ago and is not whole. */
  constructor(framer: StreamFramer, timeoutMs: number, onOver: () => void) {
    this.#framer = framer;
    this.#timeoutMs = timeoutMs;
    this.#onOver = onOver;
  }

  /** After each chunk. */
  look(): void {
    const { isMidMessage, messages } = this.#framer;
    if (this.#timer !== undefined && isMidMessage && messages === this.#after) return;
    this.close();
    if (!isMidMessage) return;
    this.#after = messages;
    this.#timer = setTimeout(() => this.#over(messages), this.#timeoutMs);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** In a process that did not run for a while the timer comes first: what waits in the socket is read before. */
  #over(after: number): void {
    setImmediate(() => {
      if (this.#timer === undefined || !this.#framer.isMidMessage || this.#framer.messages !== after) return;
      this.close();
      this.#onOver();
    });
  }
}
