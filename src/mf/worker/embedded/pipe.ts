import type { MessageKind } from '../../../ndc/channel.ts';
import { MESSAGE_CREDIT_OVERHEAD_BYTES, type WorkerErrorName } from '../protocol.ts';

/** What became of one message at a sink. `full`: offer it again after `Pipe.flush`. */
export type Offer = 'taken' | 'full' | 'gone' | 'tooLarge';

/** Where the messages of one stream go. */
export interface MessageSink {
  offer(data: Buffer, kind: MessageKind): Offer;
  /** The source stream is closed and nothing more will be offered. */
  end(code: WorkerErrorName): void;
}

export interface PipeOwner {
  /** The association the messages come from must stop (or may go on) reading. */
  hold(pipe: Pipe, held: boolean): void;
  /** The stream must be reset on this side: its reader is too slow or cannot take its messages. */
  reset(streamId: number, code: WorkerErrorName): void;
  countDropped(streamId: number): void;
}

/**
 * One direction of one stream: from the association that received it to its sink, with a bounded buffer between (R29).
 * At the high mark the association is held, at half of it it runs again; held for longer than the limit, the stream is
 * reset. Until then nothing is lost.
 */
export class Pipe {
  readonly streamId: number;
  readonly #owner: PipeOwner;
  readonly #highMarkBytes: number;
  readonly #slowReaderLimitMs: number;
  readonly #pending: { readonly data: Buffer; readonly kind: MessageKind }[] = [];
  #pendingBytes = 0;
  #sink: MessageSink | null = null;
  #slow: NodeJS.Timeout | null = null;
  #ended = false;

  constructor(streamId: number, owner: PipeOwner, highMarkBytes: number, slowReaderLimitMs: number) {
    this.streamId = streamId;
    this.#owner = owner;
    this.#highMarkBytes = highMarkBytes;
    this.#slowReaderLimitMs = slowReaderLimitMs;
  }

  /** With the overhead of each message, so that empty ones are bounded too. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get sink(): MessageSink | null {
    return this.#sink;
  }

  /** Null discards. What is pending goes to the new sink. */
  route(sink: MessageSink | null): void {
    this.#sink = sink;
    this.flush();
  }

  push(data: Buffer, kind: MessageKind): void {
    if (this.#pending.length === 0 && this.#offer(data, kind)) return;
    this.#pending.push({ data, kind });
    this.#pendingBytes += data.length + MESSAGE_CREDIT_OVERHEAD_BYTES;
    if (this.#pendingBytes >= this.#highMarkBytes) this.#hold();
  }

  /** The sink has room again. */
  flush(): void {
    while (this.#pending.length > 0) {
      const { data, kind } = this.#pending[0]!;
      if (!this.#offer(data, kind)) break;
      // A message too large for its reader resets the stream, and that discards what is pending.
      if (this.#pending.length === 0) return;
      this.#pending.shift();
      this.#pendingBytes -= data.length + MESSAGE_CREDIT_OVERHEAD_BYTES;
    }
    if (this.#pendingBytes <= this.#highMarkBytes >> 1) this.#run();
    if (this.#ended && this.#pending.length === 0) this.#finish();
  }

  /** The stream was closed by its sender; the sink is told once it has everything. */
  end(): void {
    this.#ended = true;
    this.flush();
  }

  /** Drops what is pending and tells nobody. */
  discard(): void {
    for (const _ of this.#pending.splice(0)) this.#owner.countDropped(this.streamId);
    this.#pendingBytes = 0;
    this.#sink = null;
    this.#run();
  }

  #offer(data: Buffer, kind: MessageKind): boolean {
    switch (this.#sink?.offer(data, kind) ?? 'gone') {
      case 'taken':
        return true;
      case 'full':
        return false;
      case 'gone':
        this.#owner.countDropped(this.streamId);
        return true;
      case 'tooLarge':
        this.#owner.countDropped(this.streamId);
        this.#owner.reset(this.streamId, 'MESSAGE_TOO_LARGE');
        return true;
    }
  }

  #finish(): void {
    const sink = this.#sink;
    this.#sink = null;
    sink?.end('PEER_RESET_STREAM');
  }

  #hold(): void {
    if (this.#slow) return;
    this.#owner.hold(this, true);
    this.#slow = setTimeout(() => this.#owner.reset(this.streamId, 'SLOW_READER'), this.#slowReaderLimitMs);
  }

  #run(): void {
    if (!this.#slow) return;
    clearTimeout(this.#slow);
    this.#slow = null;
    this.#owner.hold(this, false);
  }
}
