import type { Socket } from 'node:net';
import type { RawFrame, ReplyBody, RequestName } from './codec.ts';
import { encodeFrame, encodeReply, type FrameBody, type FrameHeader, type FrameName, FrameReader } from './codec.ts';
import { MAX_CONTROL_FRAME_BYTES, MAX_PAYLOAD_FRAME_BYTES } from './protocol.ts';

/** Frames that the other side does not read. Control is small; payload is bounded by credit and this is the backstop. */
const MAX_QUEUED_BYTES = 64 << 20;

export interface FrameSocketEvents {
  frame(frame: RawFrame): void;
  /** The socket is gone: ended, failed, garbage received, or the other side does not read. Called once. */
  ended(problem: string): void;
}

/** One of the two sockets between the engine and a worker. */
export class FrameSocket {
  readonly #socket: Socket;
  readonly #events: FrameSocketEvents;
  #ended = false;
  #corked = false;

  constructor(socket: Socket, kind: 'control' | 'payload', events: FrameSocketEvents) {
    this.#socket = socket;
    this.#events = events;
    const reader = new FrameReader(kind === 'control' ? MAX_CONTROL_FRAME_BYTES : MAX_PAYLOAD_FRAME_BYTES);
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const frame of reader.push(chunk)) {
          if (this.#ended) return;
          events.frame(frame);
        }
      } catch (error) {
        this.end((error as Error).message);
      }
    });
    socket.on('end', () => this.end('closed by the other side'));
    socket.on('error', (error) => this.end(error.message));
    socket.on('close', () => this.end('closed'));
  }

  send<N extends FrameName>(name: N, header: FrameHeader, body: FrameBody<N>): void {
    this.#write(encodeFrame(name, header, body));
  }

  reply<N extends RequestName>(request: N, header: FrameHeader, body: ReplyBody<N>): void {
    this.#write(encodeReply(request, header, body));
  }

  /** Bytes the other side has not read yet. */
  get queuedBytes(): number {
    return this.#socket.writableLength;
  }

  /** Ends once the other side has been sent everything. */
  finish(problem: string): void {
    this.#socket.end(() => this.end(problem));
  }

  end(problem: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.destroy();
    this.#events.ended(problem);
  }

  /** The frames of one turn of the event loop leave in one system call: setting a context up takes a dozen of them. */
  #write(frame: Buffer): void {
    if (this.#ended) return;
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      setImmediate(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(frame);
    if (this.#socket.writableLength > MAX_QUEUED_BYTES) this.end('the other side does not read');
  }
}
