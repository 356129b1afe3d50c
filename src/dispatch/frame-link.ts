import type { Socket } from 'node:net';

/** What crosses between dispatcher and worker. First those towards the worker. */
export const FRAME = {
  /** number of a flow, then JSON `FlowFrame` */
  flow: 1,
  /** number of a flow, then the message */
  received: 2,
  /** number of a message, then why it could not be sent */
  failed: 3,
  /** listener, then a name under `.invalid` that one of its connections goes by (RFC 7118 5.1) */
  name: 4,
  /** all flow numbers so far are void */
  forgetFlows: 5,
  /** when it was sent, epoch ms as a double: shows how late the worker reads */
  tick: 6,
  /** number, listener, port, length of the address, address, message: a datagram */
  datagram: 16,
  /** number, listener, length of the JSON `Destination`, that, message */
  stream: 17,
  /** JSON `AliasFrame` */
  alias: 18,
  /** JSON `ClaimFrame` */
  claim: 19,
  /** nothing: the process reads from now on */
  serving: 20,
} as const;

/** Length of the body (32 bits, little endian) and kind. */
const HEADER_BYTES = 5;
const SLAB_BYTES = 256 * 1024;
/** A SIP message of 64 KiB, its destination and some. */
const MAX_FRAME_BYTES = 80 * 1024;

export interface FrameLinkOptions {
  /** What may wait for a reader that is slow; above it nothing is taken. */
  readonly maxBacklogBytes: number;
  /** `body` is valid during the call only. */
  onFrame(kind: number, body: Buffer): void;
  /** The other end is gone, or speaks nonsense. Called once. */
  onClosed(problem: string | undefined): void;
}

/**
 * Length-prefixed frames over a Unix socket. What is written in one round of the event loop goes out in one write, and
 * what waits there is read in one: at load a message costs a fraction of a system call.
 */
export class FrameLink {
  /** Where `begin` has made room. */
  slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  readonly #socket: Socket;
  readonly #options: FrameLinkOptions;
  #start = 0;
  #end = 0;
  /** Pieces of the slab that the socket has not written yet. */
  #unwritten = 0;
  #scheduled = false;
  #rest: Buffer | undefined;
  #closed = false;

  constructor(socket: Socket, options: FrameLinkOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (error) => this.#close(error.message));
    socket.on('close', () => this.#close(undefined));
  }

  /** Bytes that the other end has not taken yet. */
  get backlogBytes(): number {
    return this.#socket.writableLength + this.#end - this.#start;
  }

  /** Room for a frame with a body of `bytes`: the offset in `slab` to write it to, at once; -1: the backlog is full. */
  begin(kind: number, bytes: number): number {
    const whole = HEADER_BYTES + bytes;
    if (this.#closed || bytes > MAX_FRAME_BYTES || this.backlogBytes + whole > this.#options.maxBacklogBytes) return -1;
    if (this.#end + whole > SLAB_BYTES) this.#newSlab();
    const at = this.#end;
    this.slab.writeUInt32LE(bytes, at);
    this.slab[at + 4] = kind;
    this.#end += whole;
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => this.#flush());
    }
    return at + HEADER_BYTES;
  }

  /** A frame of one number and text; for what is rare. False: the backlog is full. */
  sendText(kind: number, number: number, text: string): boolean {
    const bytes = Buffer.from(text, 'utf8');
    const at = this.begin(kind, 4 + bytes.length);
    if (at < 0) return false;
    this.slab.writeUInt32LE(number, at);
    bytes.copy(this.slab, at + 4);
    return true;
  }

  close(): void {
    this.#flush();
    this.#closed = true;
    this.#socket.destroySoon();
  }

  #newSlab(): void {
    this.#flush();
    // The old one belongs to the socket until it is written.
    this.slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    this.#start = 0;
    this.#end = 0;
    this.#unwritten = 0;
  }

  /** A slab that is written is used again: new ones made the engine collect its whole heap three times as often. */
  #written(slab: Buffer): void {
    if (slab !== this.slab || --this.#unwritten > 0 || this.#start !== this.#end) return;
    this.#start = 0;
    this.#end = 0;
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#end === this.#start || this.#closed) return;
    const { slab } = this;
    this.#unwritten++;
    this.#socket.write(slab.subarray(this.#start, this.#end), () => this.#written(slab));
    this.#start = this.#end;
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES && !this.#closed) {
      const length = bytes.readUInt32LE(at);
      if (length > MAX_FRAME_BYTES) {
        this.#socket.destroy();
        this.#close(`a frame of ${length} bytes`);
        return;
      }
      const body = at + HEADER_BYTES;
      if (bytes.length - body < length) break;
      at = body + length;
      this.#options.onFrame(bytes[body - 1]!, bytes.subarray(body, at));
    }
    this.#rest = at < bytes.length ? bytes.subarray(at) : undefined;
  }

  #close(problem: string | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.onClosed(problem);
  }
}
