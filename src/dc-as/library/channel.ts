import type { Mdc2Mode } from '../../services/mdc2.ts';
import type { ChannelCarrier, DcAsMessage } from './carrier.ts';
import type { DcAsSession } from './session.ts';

export type { DcAsMessage };

/** What the MF and the ticket say of a channel. */
export interface ChannelFacts {
  readonly applicationId: string;
  /** P2A: the user opened it; A2P: the network did; P2A2P: the other user has one too, in the same session. */
  readonly mode: Mdc2Mode;
  /** At which end of the call this UE is: `served`, or `remote` for the other user. */
  readonly termination: string;
  /** Public identity of this UE's user, when the operator tells it. */
  readonly user: string | undefined;
  readonly mediaId: string;
  readonly streamId: number;
  readonly label: string;
  readonly subprotocol: string;
  /** The UE takes no larger message; 0: no limit is known. */
  readonly maxMessageSizeBytes: number;
}

/**
 * One data channel of one UE. Read it with `for await (const message of channel)`, which ends when the channel does;
 * answer with `send`. Whoever reads slowly slows the UE down, and nothing is lost.
 */
export class DcAsChannel implements AsyncIterable<DcAsMessage> {
  readonly facts: ChannelFacts;
  readonly session: DcAsSession;
  /** Resolves, never rejects, when the channel is gone: why. */
  readonly closed: Promise<string>;
  readonly #carrier: ChannelCarrier;
  readonly #unread: DcAsMessage[] = [];
  #arrived: () => void = () => undefined;
  #isClosed = false;

  constructor(carrier: ChannelCarrier, facts: ChannelFacts, session: DcAsSession) {
    this.#carrier = carrier;
    this.facts = facts;
    this.session = session;
    this.closed = new Promise((resolve) => {
      carrier.listen({
        message: (message) => this.#receive(message),
        closed: (reason) => {
          this.#isClosed = true;
          this.#arrived();
          resolve(reason);
        },
      });
    });
  }

  get open(): boolean {
    return !this.#isClosed && this.#carrier.open;
  }

  /** Bytes that were sent and are still here, because the UE is slow. */
  get bufferedBytes(): number {
    return this.#carrier.bufferedBytes;
  }

  /**
   * Resolves when the message has left this process: await it, and you are never ahead of a slow UE by more than one
   * message. Resolves false when the channel is closed.
   *
   * @throws RangeError when the UE takes no message of this size
   */
  send(message: DcAsMessage): Promise<boolean> {
    const { maxMessageSizeBytes: limit } = this.facts;
    const size = typeof message === 'string' ? Buffer.byteLength(message) : message.length;
    if (limit > 0 && size > limit) throw new RangeError(`a message of ${size} bytes; this UE takes ${limit}`);
    if (!this.open) return Promise.resolve(false);
    return this.#carrier.send(message);
  }

  /** Ends the channel behind what was sent; the UE sees it closed. */
  close(reason = 'done'): void {
    this.#carrier.close(reason);
  }

  /** For the server only: the application threw. */
  fail(reason: string): void {
    this.#carrier.close(reason, 'failed');
  }

  /** The process ends, not the application. */
  leave(): void {
    this.#carrier.close('shutdown', 'goingAway');
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<DcAsMessage, void> {
    for (;;) {
      const next = this.#unread.shift();
      if (next !== undefined) {
        this.#carrier.read(next, this.#unread.length);
        yield next;
      } else if (this.#isClosed) return;
      else await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
  }

  #receive(message: DcAsMessage): void {
    this.#unread.push(message);
    this.#carrier.waiting(this.#unread.length);
    this.#arrived();
  }
}
