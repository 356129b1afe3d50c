import { TypedEmitter } from '../../base/emitter.ts';
import { ImsdcError } from '../../errors.ts';
import type { MessageKind } from '../../ndc/channel.ts';
import type { DataChannelStream } from '../../sdp/types.ts';

export interface ChannelMessage {
  readonly data: Buffer;
  readonly kind: MessageKind;
}

/** What a channel needs of the association below it. */
export interface ChannelPort {
  send(streamId: number, data: Uint8Array | string, kind: MessageKind): boolean;
  closeStream(streamId: number): void;
}

export interface ChannelEvents {
  open: undefined;
  closed: { readonly reason: string };
}

/** Messages that nobody has taken yet; beyond it the newest are dropped and counted: a script forgot to read. */
const MAX_INBOX_BYTES = 64 * 1024 * 1024;

/** One data channel of the UE: a stream of an association, known from SDP (RFC 8864). */
export class UeChannel extends TypedEmitter<ChannelEvents> {
  readonly stream: DataChannelStream;
  /** What the peer takes in one message; Infinity when it said 0. */
  readonly maxMessageSizeBytes: number;
  droppedMessages = 0;
  readonly #port: ChannelPort;
  readonly #inbox: ChannelMessage[] = [];
  #inboxBytes = 0;
  #state: 'connecting' | 'open' | 'closed' = 'connecting';
  #closedBecause = '';
  #consumer: ((message: ChannelMessage) => void) | null = null;
  readonly #writable = new Set<() => void>();
  readonly #takers: { resolve: (message: ChannelMessage) => void; reject: (error: Error) => void }[] = [];

  constructor(port: ChannelPort, stream: DataChannelStream, maxMessageSizeBytes: number) {
    super();
    this.#port = port;
    this.stream = stream;
    this.maxMessageSizeBytes = maxMessageSizeBytes === 0 ? Number.POSITIVE_INFINITY : maxMessageSizeBytes;
  }

  get streamId(): number {
    return this.stream.streamId;
  }

  get state(): 'connecting' | 'open' | 'closed' {
    return this.#state;
  }

  /** Resolves once data can be sent; rejects when the channel ends before that. */
  async opened(): Promise<void> {
    if (this.#state === 'connecting') await Promise.race([this.next('open'), this.next('closed')]);
    if (this.#state === 'closed') throw this.#ended();
  }

  /** Sends one message, waiting while the association's buffer is full. Throws UE_CHANNEL_CLOSED, MEDIA_MESSAGE_TOO_LARGE. */
  async send(
    data: Uint8Array | string,
    kind: MessageKind = typeof data === 'string' ? 'text' : 'binary',
  ): Promise<void> {
    await this.opened();
    while (!this.#port.send(this.streamId, data, kind)) {
      await new Promise<void>((resolve) => this.#writable.add(resolve));
      if (this.#state === 'closed') throw this.#ended();
    }
  }

  /** The next message in order; waits for it. */
  receive(): Promise<ChannelMessage> {
    const waiting = this.#inbox.shift();
    if (waiting) {
      this.#inboxBytes -= waiting.data.length;
      return Promise.resolve(waiting);
    }
    if (this.#state === 'closed') return Promise.reject(this.#ended());
    return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
  }

  /** From now on every message goes to `consumer`, those that wait first; null ends that. */
  consume(consumer: ((message: ChannelMessage) => void) | null): void {
    this.#consumer = consumer;
    if (!consumer) return;
    for (const message of this.#inbox.splice(0)) consumer(message);
    this.#inboxBytes = 0;
  }

  /** Resets the stream. The dcmap stays until the next offer leaves it out (RFC 8864 6.6). */
  close(): void {
    this.#port.closeStream(this.streamId);
    this.onClosed('closed here');
  }

  /** For the association: the stream is open. */
  onOpen(): void {
    if (this.#state !== 'connecting') return;
    this.#state = 'open';
    this.emit('open', undefined);
  }

  onClosed(reason: string): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#closedBecause = reason;
    this.emit('closed', { reason });
    this.onWritable();
    for (const taker of this.#takers.splice(0)) taker.reject(this.#ended());
  }

  onMessage(message: ChannelMessage): void {
    if (this.#consumer) {
      this.#consumer(message);
      return;
    }
    const taker = this.#takers.shift();
    if (taker) {
      taker.resolve(message);
      return;
    }
    if (this.#inboxBytes + message.data.length > MAX_INBOX_BYTES) {
      this.droppedMessages++;
      return;
    }
    this.#inbox.push(message);
    this.#inboxBytes += message.data.length;
  }

  onWritable(): void {
    for (const resolve of this.#writable) resolve();
    this.#writable.clear();
  }

  #ended(): ImsdcError {
    return new ImsdcError('UE_CHANNEL_CLOSED', { streamId: this.streamId, reason: this.#closedBecause });
  }
}
