import type { PayloadPort } from '../../mf/engine/types.ts';
import type { ChannelCarrier, DcAsMessage } from './carrier.ts';

/** Bytes that the far end may be ahead of the application; then its association waits, and at last the UE. */
export const CREDIT_BYTES = 256 * 1_024;
/** What a message costs besides its bytes (docs/media-worker.md). */
const MESSAGE_OVERHEAD_BYTES = 16;

/** A channel in a stream of an association that ends here: of the UE, or of the MF in front of it. */
export class StreamCarrier implements ChannelCarrier {
  readonly #port: PayloadPort;
  /** Sent by the application, not taken by the stream yet, in order. */
  readonly #unsent: { readonly message: DcAsMessage; resolve(taken: boolean): void }[] = [];
  #bufferedBytes = 0;
  #closing = false;
  #closed = false;
  #ended: (reason: string) => void = () => undefined;

  constructor(port: PayloadPort) {
    this.#port = port;
    port.onWritable = () => this.#progress();
  }

  get open(): boolean {
    return !this.#closed && !this.#closing;
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  listen({ closed, message }: Parameters<ChannelCarrier['listen']>[0]): void {
    this.#port.onMessage = (data, kind) => message(kind === 'text' ? Buffer.from(data).toString() : data);
    this.#ended = closed;
    this.#port.onClosed = (reason) => this.#end(reason);
  }

  send(message: DcAsMessage): Promise<boolean> {
    this.#bufferedBytes += sizeOf(message);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#unsent.push({ message, resolve });
    this.#progress();
    return promise;
  }

  read(message: DcAsMessage): void {
    if (!this.#closed) this.#port.grant(sizeOf(message) + MESSAGE_OVERHEAD_BYTES);
  }

  /** Its credit is what holds the far end back. */
  waiting(): void {}

  close(): void {
    if (!this.open) return;
    this.#closing = true;
    this.#progress();
  }

  #progress(): void {
    for (let next = this.#unsent[0]; next && !this.#closed; next = this.#unsent[0]) {
      const { message, resolve } = next;
      const isText = typeof message === 'string';
      if (!this.#port.send(isText ? Buffer.from(message) : message, isText ? 'text' : 'binary')) return;
      this.#unsent.shift();
      this.#bufferedBytes -= sizeOf(message);
      resolve(true);
    }
    if (!this.#closing || this.#closed) return;
    this.#port.close();
    this.#end('closed here');
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#bufferedBytes = 0;
    for (const { resolve } of this.#unsent.splice(0)) resolve(false);
    this.#ended(reason);
  }
}

function sizeOf(message: DcAsMessage): number {
  return typeof message === 'string' ? Buffer.byteLength(message) : message.length;
}
