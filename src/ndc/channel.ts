import type { DataChannel } from 'node-datachannel';

export type MessageKind = 'text' | 'binary';

/** Reliability and order as the dcmap says (RFC 8864); ids are SDP-negotiated, there is no DCEP. */
export interface ChannelSpec {
  readonly streamId: number;
  readonly ordered: boolean;
  readonly maxRetransmissions?: number;
  readonly maxTimeMs?: number;
  readonly label?: string;
  readonly subprotocol?: string;
}

export interface ChannelCounters {
  bytesReceived: number;
  bytesSent: number;
  messagesReceived: number;
  messagesSent: number;
  dropped: number;
}

export function zeroCounters(): ChannelCounters {
  return { bytesReceived: 0, bytesSent: 0, messagesReceived: 0, messagesSent: 0, dropped: 0 };
}

export interface ChannelHandlers {
  open(): void;
  closed(): void;
  message(data: Buffer, kind: MessageKind): void;
  writable(): void;
  /** Whatever goes wrong inside a callback: it must not reach the native caller. */
  fault(error: unknown): void;
}

/** One negotiated data channel of libdatachannel. Holds the only strong reference to the native object. */
export class Channel {
  readonly spec: ChannelSpec;
  readonly counters = zeroCounters();
  readonly #native: DataChannel;
  #ended = false;

  /** Callbacks are set before anything else runs: 1,024 unread messages would block libdatachannel as a whole. */
  constructor(native: DataChannel, spec: ChannelSpec, lowMarkBytes: number, handlers: ChannelHandlers) {
    this.#native = native;
    this.spec = spec;
    const guard =
      <A extends unknown[]>(callback: (...values: A) => void) =>
      (...values: A) => {
        try {
          if (!this.#ended) callback(...values);
        } catch (error) {
          handlers.fault(error);
        }
      };
    native.onMessage(
      guard((message: string | Buffer | ArrayBuffer) => {
        const kind = typeof message === 'string' ? 'text' : 'binary';
        const data = typeof message === 'string' ? Buffer.from(message) : asBuffer(message);
        this.counters.messagesReceived++;
        this.counters.bytesReceived += data.length;
        handlers.message(data, kind);
      }),
    );
    native.onOpen(guard(() => handlers.open()));
    const closed = guard(() => {
      this.#ended = true;
      handlers.closed();
    });
    native.onClosed(() => afterWhatIsPending(closed));
    native.onError(guard((problem) => handlers.fault(new Error(`stream ${spec.streamId}: ${problem}`))));
    native.setBufferedAmountLowThreshold(lowMarkBytes);
    native.onBufferedAmountLow(guard(() => handlers.writable()));
  }

  get isOpen(): boolean {
    return !this.#ended && this.#native.isOpen();
  }

  /** Bytes accepted and not yet handed to SCTP. */
  get bufferedAmount(): number {
    return this.#ended ? 0 : this.#native.bufferedAmount();
  }

  /** The caller has checked the size. False: the stream was closed in the meantime. */
  send(data: Uint8Array | string, kind: MessageKind): boolean {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    try {
      if (kind === 'binary') this.#native.sendMessageBinary(bytes);
      else this.#native.sendMessage(typeof data === 'string' ? data : textOf(data));
    } catch {
      // The other thread may close the stream at any time, also between `isOpen` and here.
      return false;
    }
    this.counters.messagesSent++;
    this.counters.bytesSent += bytes.length;
    return true;
  }

  /** Resets the stream (RFC 6525); no callback follows. */
  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#native.close();
  }

  /**
   * No callback follows. The native side is freed by the end of its connection; closing it here as well races with
   * that and can leave a callback behind that keeps the event loop alive for ever.
   */
  detach(): void {
    this.#ended = true;
  }
}

/**
 * libdatachannel says that a connection has ended before it says so of its channels, and hands over the last message
 * before the end of its channel; but each callback comes over a queue of its own, and those are looked at in any order.
 * What was said before is there when the event loop has polled once more: two immediates are on either side of that.
 */
function afterWhatIsPending(run: () => void): void {
  setImmediate(() => setImmediate(run));
}

function textOf(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.length).toString();
}

function asBuffer(data: Buffer | ArrayBuffer): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
