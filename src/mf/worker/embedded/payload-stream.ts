import type { MessageKind } from '../../../ndc/channel.ts';
import type { FrameHeader } from '../codec.ts';
import type { FrameSocket } from '../frame-socket.ts';
import { MESSAGE_CREDIT_OVERHEAD_BYTES } from '../protocol.ts';
import type { MessageSink, Offer } from './pipe.ts';

/** What the payload stream needs of the association's stream. */
export interface PeerStream {
  readonly open: boolean;
  /** False: full. */
  send(data: Uint8Array, kind: MessageKind): boolean;
  /** The buffer towards the peer is below half of its mark. */
  readonly low: boolean;
  close(): void;
  countDropped(): void;
}

/**
 * One stream between the peer and the engine, with byte credit in both directions. Towards the engine it is a sink of
 * the stream's pipe; towards the peer it queues what the engine sent within its window.
 */
export class PayloadStream implements MessageSink {
  readonly streamId: number;
  readonly #socket: FrameSocket;
  readonly #header: FrameHeader;
  readonly #peer: PeerStream;
  readonly #windowBytes: number;
  /** What the engine will take. */
  #credit = 0;
  /** What the engine may send; known to it as CREDIT_FROM_WORKER. */
  #window = 0;
  /** Taken from the engine and not given back as credit yet. */
  #owed = 0;
  #windowAsked = false;
  readonly #outgoing: { readonly data: Uint8Array; readonly kind: MessageKind | 'end' }[] = [];

  constructor(streamId: number, socket: FrameSocket, header: FrameHeader, peer: PeerStream, windowBytes: number) {
    this.streamId = streamId;
    this.#socket = socket;
    this.#header = header;
    this.#peer = peer;
    this.#windowBytes = windowBytes;
  }

  /** CREDIT came. The first one is answered by the window, as soon as the stream is open. */
  grant(bytes: number): void {
    this.#credit += bytes;
    this.#windowAsked = true;
    this.opened();
  }

  /** The stream may just have been opened. */
  opened(): void {
    if (!this.#windowAsked || this.#window > 0 || this.#owed > 0 || !this.#peer.open) return;
    this.#give(this.#windowBytes);
  }

  offer(data: Buffer, kind: MessageKind): Offer {
    if (this.#credit <= 0) return 'full';
    this.#credit -= data.length + MESSAGE_CREDIT_OVERHEAD_BYTES;
    this.#socket.send('PAYLOAD_FROM_PEER', this.#header, { streamId: this.streamId, kind, data });
    return 'taken';
  }

  end(): void {
    this.#socket.send('PAYLOAD_FROM_PEER', this.#header, {
      streamId: this.streamId,
      kind: 'end',
      data: Buffer.alloc(0),
    });
  }

  /** PAYLOAD came. Beyond the window, or for a stream that is not open, it is dropped and counted. */
  fromEngine(data: Uint8Array, kind: MessageKind | 'end'): void {
    if (!this.#peer.open || this.#window <= 0) {
      this.#peer.countDropped();
      return;
    }
    const cost = data.length + MESSAGE_CREDIT_OVERHEAD_BYTES;
    this.#window -= cost;
    this.#owed += cost;
    // A queued message is copied: it points into a chunk of the socket that is much larger than itself.
    if (this.#outgoing.length > 0 || !this.#send(data, kind)) this.#outgoing.push({ data: Buffer.from(data), kind });
    this.#settle();
  }

  /** The peer's side has room. */
  writable(): void {
    let taken = 0;
    for (const { data, kind } of this.#outgoing) {
      if (!this.#send(data, kind)) break;
      taken++;
    }
    this.#outgoing.splice(0, taken);
    this.#settle();
  }

  #send(data: Uint8Array, kind: MessageKind | 'end'): boolean {
    if (kind !== 'end') return this.#peer.send(data, kind);
    this.#peer.close();
    return true;
  }

  /** Gives back as credit what has left. */
  #settle(): void {
    if (this.#owed === 0 || this.#outgoing.length > 0 || !this.#peer.open || !this.#peer.low) return;
    const owed = this.#owed;
    this.#owed = 0;
    this.#give(owed);
  }

  #give(bytes: number): void {
    this.#window += bytes;
    this.#socket.send('CREDIT_FROM_WORKER', this.#header, { streamId: this.streamId, bytes });
  }
}
