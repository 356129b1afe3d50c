import { MESSAGE_CREDIT_OVERHEAD_BYTES } from '../worker/protocol.ts';
import type { PayloadPort } from './types.ts';

/** What a port sends to its worker. */
export interface PortWire {
  payload(kind: 'text' | 'binary' | 'end', data: Uint8Array): void;
  credit(bytes: number): void;
}

const nothing = () => undefined;
const EMPTY = new Uint8Array(0);

/**
 * One stream's payload between the MF and its worker, with byte credit both ways (docs/media-worker.md, Credit). What
 * comes before anybody listens waits, bounded by the credit that was given: the first message of a stream may overtake
 * the news that the stream is open, because the two come on different sockets.
 */
export class WorkerPayloadPort implements PayloadPort {
  onWritable: PayloadPort['onWritable'] = nothing;
  #onMessage: PayloadPort['onMessage'] | undefined;
  #onClosed: PayloadPort['onClosed'] | undefined;
  #unheard: { readonly data: Uint8Array; readonly kind: 'text' | 'binary' }[] = [];
  #endReason: string | undefined;
  readonly #wire: PortWire;
  readonly #forget: () => void;
  #window = 0;
  #closed = false;
  #refused = false;

  constructor(wire: PortWire, forget: () => void) {
    this.#wire = wire;
    this.#forget = forget;
  }

  set onMessage(handler: PayloadPort['onMessage']) {
    this.#onMessage = handler;
    const unheard = this.#unheard;
    this.#unheard = [];
    for (const { data, kind } of unheard) handler(data, kind);
  }

  set onClosed(handler: PayloadPort['onClosed']) {
    this.#onClosed = handler;
    const reason = this.#endReason;
    this.#endReason = undefined;
    if (reason !== undefined) handler(reason);
  }

  send(message: Uint8Array, kind: 'text' | 'binary'): boolean {
    if (this.#closed || this.#window <= 0) {
      this.#refused = true;
      return false;
    }
    this.#window -= message.length + MESSAGE_CREDIT_OVERHEAD_BYTES;
    this.#wire.payload(kind, message);
    return true;
  }

  grant(bytes: number): void {
    if (!this.#closed && bytes > 0) this.#wire.credit(bytes);
  }

  close(): void {
    if (this.#closed) return;
    this.#wire.payload('end', EMPTY);
    this.#closed = true;
    this.#forget();
  }

  /** CREDIT_FROM_WORKER. */
  granted(bytes: number): void {
    this.#window += bytes;
    if (this.#window <= 0 || !this.#refused) return;
    this.#refused = false;
    this.onWritable();
  }

  /** PAYLOAD_FROM_PEER. */
  received(data: Uint8Array, kind: 'text' | 'binary' | 'end'): void {
    if (kind === 'end') this.ended('end');
    else if (this.#closed) return;
    else if (this.#onMessage) this.#onMessage(data, kind);
    else this.#unheard.push({ data, kind });
  }

  ended(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forget();
    if (this.#onClosed) this.#onClosed(reason);
    else this.#endReason = reason;
  }
}
