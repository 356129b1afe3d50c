import type { RawData, WebSocket } from 'ws';
import type { Mdc2Mode } from '../../services/mdc2.ts';
import type { DcAsSession } from './session.ts';

/** Text as a string, binary as bytes. */
export type DcAsMessage = string | Uint8Array;

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

/** Messages that wait for their reader; then the socket, the MF and at last the UE wait too. */
const MAX_UNREAD = 16;

/**
 * One data channel of one UE. Read it with `for await (const message of channel)`, which ends when the channel does;
 * answer with `send`. Whoever reads slowly slows the UE down, and nothing is lost.
 */
export class DcAsChannel implements AsyncIterable<DcAsMessage> {
  readonly facts: ChannelFacts;
  readonly session: DcAsSession;
  /** Resolves, never rejects, when the channel is gone: why. */
  readonly closed: Promise<string>;
  readonly #socket: WebSocket;
  readonly #unread: DcAsMessage[] = [];
  #arrived: () => void = () => undefined;
  #isClosed = false;

  constructor(socket: WebSocket, facts: ChannelFacts, session: DcAsSession) {
    this.#socket = socket;
    this.facts = facts;
    this.session = session;
    socket.on('message', (data, isBinary) => this.#receive(isBinary ? bytes(data) : bytes(data).toString()));
    // 'close' follows and tells.
    socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        this.#isClosed = true;
        this.#arrived();
        resolve(reason.toString() || `closed with ${code}`);
      });
    });
  }

  get open(): boolean {
    return !this.#isClosed && this.#socket.readyState === this.#socket.OPEN;
  }

  /** Bytes that were sent and are still here, because the UE is slow. */
  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
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
    return new Promise((resolve) => {
      this.#socket.send(message, { binary: typeof message !== 'string' }, (error) => resolve(!error));
    });
  }

  /** Ends the channel behind what was sent; the UE sees it closed. */
  close(reason = 'done'): void {
    this.#socket.resume();
    this.#socket.close(1000, reason);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<DcAsMessage, void> {
    for (;;) {
      const next = this.#unread.shift();
      if (next !== undefined) {
        if (this.#socket.isPaused && this.#unread.length < MAX_UNREAD) this.#socket.resume();
        yield next;
      } else if (this.#isClosed) return;
      else await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
  }

  #receive(message: DcAsMessage): void {
    this.#unread.push(message);
    if (this.#unread.length >= MAX_UNREAD) this.#socket.pause();
    this.#arrived();
  }
}

function bytes(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
