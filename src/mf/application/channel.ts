import { type RawData, WebSocket } from 'ws';
import type { Logger } from '../../base/log.ts';
import { MDC2_CLOSE } from '../../services/mdc2.ts';
import type { PayloadPort } from '../engine/types.ts';
import type { ApplicationTarget } from '../mrm/service-port.ts';

export interface ChannelOptions {
  readonly port: PayloadPort;
  /** Opens a socket to the target; called when the stream is open. */
  connect(target: ApplicationTarget): WebSocket;
  readonly slowReaderLimitMs: number;
  readonly log: Logger;
  /** Resets the stream: its DC AS is not there. */
  reset(reason: string): void;
  /** The DC AS has closed it of its own accord (1000), not because it goes away. */
  closedByServer(): void;
  ended(): void;
}

/** Bytes a UE may be ahead of its DC AS: those that wait for the socket and those in it. */
export const CREDIT_BYTES = 256 * 1_024;
/** What a message costs besides its bytes (docs/media-worker.md). */
const MESSAGE_OVERHEAD_BYTES = 16;

interface Message {
  readonly data: Uint8Array;
  readonly kind: 'text' | 'binary';
}

/**
 * One application channel between a UE and its DC AS: every data channel message is one WebSocket message of the same
 * kind, both ways, in order. New credit goes to the UE when the kernel has taken what it sent; the socket is not read
 * while the UE cannot take more. So nothing is lost, and nothing but a window's worth is held.
 */
export class ApplicationChannel {
  target: ApplicationTarget;
  readonly #options: ChannelOptions;
  #socket: WebSocket | undefined;
  #streamOpen = false;
  #ended = false;
  /** From the UE, before the socket is open; bounded by its credit. */
  #early: Message[] = [];
  /** From the DC AS, not taken by the UE yet; what was read before the pause took effect. */
  #held: Message[] = [];
  /** Bytes in the socket that the kernel has not taken. */
  #unsentBytes = 0;
  /** The DC AS has closed: the stream closes behind what is held. */
  #closing = false;
  #stall: NodeJS.Timeout | undefined;

  constructor(target: ApplicationTarget, options: ChannelOptions) {
    this.target = target;
    this.#options = options;
    const { port } = options;
    port.onMessage = (data, kind) => this.#fromUe({ data, kind });
    port.onWritable = () => this.#deliver();
    port.onClosed = (reason) => this.#end(reason === 'end' ? 'channel closed' : reason);
  }

  /** The UE can use the stream: the DC AS hears of it now, and may speak first. */
  streamOpen(): void {
    if (this.#streamOpen || this.#ended) return;
    this.#streamOpen = true;
    this.#connect();
  }

  /** The line was given to another DC AS; what the first one has not said yet is not waited for. */
  retarget(target: ApplicationTarget): void {
    const { address, port, ticket, url } = this.target;
    this.target = target;
    const same = address === target.address && port === target.port && url === target.url && ticket === target.ticket;
    if (same || !this.#streamOpen || this.#ended) return;
    const former = this.#socket;
    this.#held = [];
    this.#connect();
    former?.resume();
    former?.close(MDC2_CLOSE.moved, 'moved');
  }

  /** Our side ends it: the line or the call is over. */
  close(): void {
    if (this.#ended) return;
    this.#options.port.close();
    this.#end('released');
  }

  #connect(): void {
    const socket = this.#options.connect(this.target);
    this.#socket = socket;
    const isCurrent = () => this.#socket === socket;
    let problem = '';
    socket.on('open', () => {
      const early = this.#early.splice(0);
      for (const message of early) this.#toServer(socket, message);
      if (this.#ended) socket.close(MDC2_CLOSE.ended, 'channel closed');
    });
    socket.on('message', (data, isBinary) => {
      if (isCurrent()) this.#fromServer({ data: bytes(data), kind: isBinary ? 'binary' : 'text' });
    });
    socket.on('error', (error) => (problem = error.message));
    socket.on('close', (code, reason) => {
      if (isCurrent()) this.#serverClosed(code, problem || reason.toString());
    });
  }

  #fromUe(message: Message): void {
    if (this.#ended) return;
    const socket = this.#socket;
    if (socket?.readyState === WebSocket.OPEN) this.#toServer(socket, message);
    else this.#early.push(message);
  }

  #toServer(socket: WebSocket, { data, kind }: Message): void {
    const cost = data.length + MESSAGE_OVERHEAD_BYTES;
    this.#unsentBytes += cost;
    socket.send(data, { binary: kind === 'binary' }, () => {
      this.#unsentBytes -= cost;
      // Taken or, as 'close' will tell, lost with its socket: it is not held here any more.
      this.#options.port.grant(cost);
      this.#progress();
    });
    this.#watch();
  }

  #fromServer(message: Message): void {
    if (this.#ended) return;
    this.#held.push(message);
    this.#deliver();
  }

  #deliver(): void {
    const { port } = this.#options;
    for (let next = this.#held[0]; next; next = this.#held[0]) {
      if (!port.send(next.data, next.kind)) {
        this.#socket?.pause();
        this.#watch();
        return;
      }
      this.#held.shift();
      this.#progress();
    }
    if (this.#closing) this.close();
    else if (this.#socket?.isPaused) this.#socket.resume();
  }

  #serverClosed(code: number, problem: string): void {
    if (this.#ended) return;
    const { log } = this.#options;
    // 1000 and 1001 are decisions of the DC AS; without a code (1005) it just closed.
    const orderly = code === 1000 || code === 1001 || code === 1005;
    if (!orderly) {
      this.#fail(`DC AS: ${problem || `closed with ${code}`}`);
      return;
    }
    log.info({ code, reason: problem.slice(0, 123) }, 'DC AS closed the channel');
    if (code !== 1001) this.#options.closedByServer();
    this.#closing = true;
    this.#deliver();
  }

  /** R29: neither side may keep the other waiting for ever. Runs while something waits, from the last progress on. */
  #watch(): void {
    this.#stall ??= setTimeout(() => {
      const who = this.#held.length > 0 ? 'UE' : 'DC AS';
      this.#fail(`${who} took nothing for ${this.#options.slowReaderLimitMs} ms`, MDC2_CLOSE.slowReader);
    }, this.#options.slowReaderLimitMs);
  }

  #progress(): void {
    if (this.#unsentBytes > 0 || this.#held.length > 0) this.#stall?.refresh();
    else this.#unwatch();
  }

  #unwatch(): void {
    clearTimeout(this.#stall);
    this.#stall = undefined;
  }

  #fail(reason: string, code: number = MDC2_CLOSE.ended): void {
    if (this.#ended) return;
    this.#options.log.info({ reason }, 'application channel reset');
    this.#options.reset(reason);
    this.#early = [];
    this.#end(reason, code);
  }

  /** No more from this channel. What the UE sent before still goes out; ws ends a socket that does not close in 30 s. */
  #end(reason: string, code: number = MDC2_CLOSE.ended): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#held = [];
    this.#unwatch();
    const socket = this.#socket;
    socket?.resume();
    if (socket?.readyState === WebSocket.OPEN) socket.close(code, reason.slice(0, 100));
    else if (this.#early.length === 0) socket?.terminate();
    this.#options.ended();
  }
}

function bytes(data: RawData): Uint8Array {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : data;
}
