import type { RawData, WebSocket } from 'ws';
import type { ChannelCarrier, ChannelEnd, DcAsMessage } from './carrier.ts';

/** Messages that wait for their reader; then the socket, the MF and at last the UE wait too. */
const MAX_UNREAD = 16;
/** RFC 6455 7.4.1. Only `done` tells the network that the line may end (docs/mdc2.md). */
const CLOSE_CODES: Readonly<Record<ChannelEnd, number>> = { done: 1000, failed: 1011, goingAway: 1001 };

/** A channel in a WebSocket of its own. */
export class WebSocketCarrier implements ChannelCarrier {
  readonly #socket: WebSocket;
  #isClosed = false;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  get open(): boolean {
    return !this.#isClosed && this.#socket.readyState === this.#socket.OPEN;
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  listen({ closed, message }: Parameters<ChannelCarrier['listen']>[0]): void {
    const socket = this.#socket;
    socket.on('message', (data, isBinary) => message(isBinary ? bytes(data) : bytes(data).toString()));
    // 'close' follows and tells.
    socket.on('error', () => undefined);
    socket.on('close', (code, reason) => {
      this.#isClosed = true;
      closed(reason.toString() || `closed with ${code}`);
    });
  }

  send(message: DcAsMessage): Promise<boolean> {
    return new Promise((resolve) => {
      this.#socket.send(message, { binary: typeof message !== 'string' }, (error) => resolve(!error));
    });
  }

  read(_message: DcAsMessage, unread: number): void {
    if (this.#socket.isPaused && unread < MAX_UNREAD) this.#socket.resume();
  }

  waiting(unread: number): void {
    if (unread >= MAX_UNREAD) this.#socket.pause();
  }

  close(reason: string, why: ChannelEnd = 'done'): void {
    this.#socket.resume();
    this.#socket.close(CLOSE_CODES[why], reason);
  }
}

function bytes(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
