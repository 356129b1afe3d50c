import { MESSAGE_CREDIT_OVERHEAD_BYTES } from '../worker/protocol.ts';
import type { PayloadPort } from './types.ts';

/** What a port sends to its worker. */
export interface PortWire {
  payload(kind: 'text' | 'binary' | 'end', data: Uint8Array): void;
  credit(bytes: number): void;
}

const nothing = () => undefined;
const EMPTY = new Uint8Array(0);

/** One stream's payload between the MF and its worker, with byte credit both ways (docs/media-worker.md, Credit). */
export class WorkerPayloadPort implements PayloadPort {
  onMessage: PayloadPort['onMessage'] = nothing;
  onWritable: PayloadPort['onWritable'] = nothing;
  onClosed: PayloadPort['onClosed'] = nothing;
  readonly #wire: PortWire;
  readonly #forget: () => void;
  #window = 0;
  #closed = false;
  #refused = false;

  constructor(wire: PortWire, forget: () => void) {
    this.#wire = wire;
    this.#forget = forget;
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
    else if (!this.#closed) this.onMessage(data, kind);
  }

  ended(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forget();
    this.onClosed(reason);
  }
}
