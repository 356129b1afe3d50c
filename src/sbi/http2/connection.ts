import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { clientTlsOptions, type SbiTls } from '../tls.ts';
import {
  CODE,
  ConnectionError,
  FLAG,
  type Frame,
  FrameReader,
  frame,
  frameHeader,
  MAX_FRAME_BYTES,
  numberFrame,
  PREFACE,
  SETTING,
  settingsFrame,
  TYPE,
} from './frames.ts';
import { decodeBlock, HeaderBlockError } from './header-block.ts';

/** One request as its stream lives; the connection calls each of `onEnd` and `onFailed` at most once, and one of them. */
export interface Stream {
  onResponse(status: number, headers: ReadonlyMap<string, string>): void;
  onData(octets: string): void;
  onEnd(): void;
  /** `executed` false: the peer has certainly not looked at the request (RFC 9113 8.7). */
  onFailed(reason: string, executed: boolean): void;
}

export interface ConnectionOptions {
  readonly tls?: SbiTls | undefined;
  /** Longest answer that a stream may bring before we ask for more: its flow-control window. */
  readonly streamWindowBytes: number;
  readonly connectTimeoutMs: number;
  /** Above it the peer counts as dead: it does not read. */
  readonly maxUnsentBytes: number;
  /** Runs it when this turn of the event loop has dealt with its input. */
  afterInput(run: () => void): void;
  onConnected(): void;
  /** Nothing follows. */
  onClosed(reason: string): void;
}

/** What a host says for a process that is gone, as against a network that says nothing, or that there is no way. */
const ENDED_BY_PEER = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE']);
const DEFAULT_WINDOW_BYTES = 65_535;
const CONNECTION_WINDOW_BYTES = 16 << 20;
const MAX_STREAM_ID = 0x7fffffff;
/** Header blocks of a response, in all their frames. */
const MAX_BLOCK_BYTES = 32 * 1_024;
/** What one read takes at most: some frames. */
const READ_BYTES = 64 * 1_024;

interface OpenStream {
  readonly stream: Stream;
  sendWindow: number;
  /** Body that the peer's windows do not take yet. */
  unsent: string;
  answered: boolean;
}

/**
 * The client's end of one HTTP/2 connection (RFC 9113), reduced to what an SBI consumer needs: requests with a small
 * body, responses, flow control, PING, GOAWAY. No push, no priorities, no trailers, no dynamic table.
 */
export class ClientConnection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket | TLSSocket;
  readonly #reader = new FrameReader();
  readonly #take = (received: Frame) => this.#onFrame(received);
  readonly #flushLater = () => this.#flush();
  readonly #streams = new Map<number, OpenStream>();
  readonly #pongs: (() => void)[] = [];
  /** What waits to be written, as latin1 text. */
  #out = '';
  #flushing = false;
  #nextId = 1;
  #connected = false;
  #draining = false;
  #closed = false;
  #endedByPeer = true;
  #closeReason = 'the connection was closed';
  #sendWindow = DEFAULT_WINDOW_BYTES;
  #peerInitialWindow = DEFAULT_WINDOW_BYTES;
  #peerMaxStreams = Number.POSITIVE_INFINITY;
  #peerMaxFrameBytes = MAX_FRAME_BYTES;
  #received = 0;
  /** A header block that continues in CONTINUATION frames. */
  #block: { readonly streamId: number; readonly flags: number; parts: Buffer[]; bytes: number } | undefined;

  constructor(origin: URL, options: ConnectionOptions) {
    this.#options = options;
    const secure = origin.protocol === 'https:';
    const host = origin.hostname.replace(/^\[|\]$/g, '');
    const port = Number(origin.port || (secure ? 443 : 80));
    const tls = options.tls ? clientTlsOptions(options.tls) : {};
    const target = { host, port, onread: this.#reading() };
    this.#socket = secure
      ? connectTls({ ...tls, ...target, ALPNProtocols: ['h2'], ...(/[a-z]/i.test(host) ? { servername: host } : {}) })
      : connectTcp(target);
    this.#socket.setNoDelay(true);
    this.#socket.setTimeout(options.connectTimeoutMs, () => this.destroy('no connection in time'));
    this.#socket.once(secure ? 'secureConnect' : 'connect', () => this.#onConnected());
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#closeReason = error.message;
      this.#endedByPeer = ENDED_BY_PEER.has(error.code ?? '');
    });
    this.#socket.on('close', () => this.#onClosed());
    this.#write(PREFACE);
    this.#control(
      settingsFrame([
        [SETTING.HEADER_TABLE_SIZE, 0],
        [SETTING.ENABLE_PUSH, 0],
        [SETTING.INITIAL_WINDOW_SIZE, options.streamWindowBytes],
      ]),
    );
    this.#control(numberFrame(TYPE.WINDOW_UPDATE, 0, CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES));
  }

  /** Takes requests: not closed, not told to go away, ids left. */
  get usable(): boolean {
    return !this.#closed && !this.#draining;
  }

  get connected(): boolean {
    return this.#connected && this.usable;
  }

  /** Once it is closed: by the peer's host, which refused or ended it; neither by us nor for want of an answer. */
  get endedByPeer(): boolean {
    return this.#closed && this.#endedByPeer;
  }

  /** Streams the peer allows besides those that are open. */
  get room(): number {
    return this.#peerMaxStreams - this.#streams.size;
  }

  /** `block`: the header fields, encoded; `body`: octets as latin1 text. Returns the stream's id, for `cancel`. */
  request(block: string, body: string, stream: Stream): number {
    const id = this.#nextId;
    this.#nextId += 2;
    if (this.#nextId > MAX_STREAM_ID) this.#draining = true;
    const open: OpenStream = { stream, sendWindow: this.#peerInitialWindow, unsent: body, answered: false };
    this.#streams.set(id, open);
    const flags = FLAG.END_HEADERS | (body === '' ? FLAG.END_STREAM : 0);
    this.#write(frameHeader(block.length, TYPE.HEADERS, flags, id) + block);
    this.#sendBody(id, open);
    return id;
  }

  /** Forgets a stream; its callbacks are not called any more. */
  cancel(id: number): void {
    if (!this.#streams.delete(id)) return;
    this.#control(numberFrame(TYPE.RST_STREAM, id, CODE.CANCEL));
    this.#endIfDrained();
  }

  ping(onAnswer: () => void): void {
    this.#pongs.push(onAnswer);
    this.#control(frame(TYPE.PING, 0, 0, new Uint8Array(8)));
  }

  /** No new requests; ends when the open ones are answered. */
  close(): void {
    this.#draining = true;
    if (!this.#connected) this.destroy('closed');
    else this.#endIfDrained();
  }

  destroy(reason: string): void {
    this.#closeReason = reason;
    this.#endedByPeer = false;
    this.#socket.destroy();
  }

  #onConnected(): void {
    this.#connected = true;
    this.#socket.setTimeout(0);
    const { alpnProtocol } = this.#socket as TLSSocket;
    if (alpnProtocol !== undefined && alpnProtocol !== 'h2') {
      this.destroy('the peer does not speak HTTP/2');
      return;
    }
    this.#flush();
    this.#options.onConnected();
  }

  #onClosed(): void {
    this.#closed = true;
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const { stream } of streams) stream.onFailed(this.#closeReason, this.#connected);
    this.#options.onClosed(this.#closeReason);
  }

  /** All reads go into one buffer: a stream of Node would take a new one for each. */
  #reading() {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const callback = (length: number) => {
      this.#onData(buffer.subarray(0, length));
      return true;
    };
    return { buffer, callback };
  }

  #onData(chunk: Buffer): void {
    try {
      this.#reader.push(chunk, this.#take);
    } catch (error) {
      const code = error instanceof HeaderBlockError ? CODE.COMPRESSION_ERROR : (error as ConnectionError).code;
      if (code === undefined) throw error;
      const goAway = Buffer.alloc(8);
      goAway.writeUInt32BE(code, 4);
      this.#closeReason = (error as Error).message;
      this.#endedByPeer = false;
      this.#socket.write(frame(TYPE.GOAWAY, 0, 0, goAway));
      this.#socket.destroySoon();
    }
  }

  #onFrame(received: Frame): void {
    const { type, flags, streamId } = received;
    if (this.#block && type !== TYPE.CONTINUATION) {
      throw new ConnectionError(CODE.PROTOCOL_ERROR, 'a header block was interrupted');
    }
    switch (type) {
      case TYPE.DATA:
        this.#onBody(received);
        return;
      case TYPE.HEADERS:
        if (flags & FLAG.END_HEADERS) this.#onBlock(streamId, flags, received);
        else this.#block = { streamId, flags, parts: [Buffer.from(received.payload)], bytes: received.wholeBytes };
        return;
      case TYPE.CONTINUATION:
        this.#onContinuation(received);
        return;
      case TYPE.RST_STREAM:
        this.#onReset(streamId, requireLength(received, 4).readUInt32BE(0));
        return;
      case TYPE.SETTINGS:
        if (!(flags & FLAG.ACK)) this.#onSettings(received.payload);
        return;
      case TYPE.PING:
        if (flags & FLAG.ACK) this.#pongs.shift()?.();
        else this.#control(frame(TYPE.PING, FLAG.ACK, 0, requireLength(received, 8)));
        return;
      case TYPE.GOAWAY:
        this.#onGoAway(received.payload);
        return;
      case TYPE.WINDOW_UPDATE:
        this.#onWindow(streamId, requireLength(received, 4).readUInt32BE(0) & 0x7fffffff);
        return;
      case TYPE.PUSH_PROMISE:
        throw new ConnectionError(CODE.PROTOCOL_ERROR, 'a push that we did not allow');
    }
  }

  #onContinuation({ flags, streamId, payload }: Frame): void {
    const block = this.#block;
    if (block?.streamId !== streamId) throw new ConnectionError(CODE.PROTOCOL_ERROR, 'a continuation of nothing');
    block.parts.push(Buffer.from(payload));
    block.bytes += payload.length;
    if (block.bytes > MAX_BLOCK_BYTES || block.parts.length > 8) {
      throw new ConnectionError(CODE.PROTOCOL_ERROR, 'a header block without end');
    }
    if (!(flags & FLAG.END_HEADERS)) return;
    this.#block = undefined;
    const bytes = Buffer.concat(block.parts);
    this.#onBlock(streamId, block.flags, { bytes, start: 0, end: bytes.length });
  }

  #onBlock(streamId: number, flags: number, { bytes, start, end }: Pick<Frame, 'bytes' | 'start' | 'end'>): void {
    // Decoded also for streams that are gone: that is where table updates would be lost otherwise.
    const headers = decodeBlock(bytes, start, end);
    const open = this.#streams.get(streamId);
    if (!open) return;
    const status = Number(headers.get(':status'));
    // 1xx announces; a block after the answer is a trailer, which no service of ours has.
    if (!open.answered && status >= 200) {
      open.answered = true;
      open.stream.onResponse(status, headers);
    }
    if (flags & FLAG.END_STREAM) this.#end(streamId, open);
  }

  #onBody({ flags, streamId, bytes, start, end, wholeBytes }: Frame): void {
    this.#received += wholeBytes;
    if (this.#received > CONNECTION_WINDOW_BYTES / 2) {
      this.#control(numberFrame(TYPE.WINDOW_UPDATE, 0, this.#received));
      this.#received = 0;
    }
    const open = this.#streams.get(streamId);
    if (!open) return;
    if (!open.answered) throw new ConnectionError(CODE.PROTOCOL_ERROR, 'a body before its head');
    const padding = wholeBytes - (end - start);
    // The stream's window is for the body alone.
    if (padding > 0) this.#control(numberFrame(TYPE.WINDOW_UPDATE, streamId, padding));
    if (end > start) open.stream.onData(bytes.toString('latin1', start, end));
    if (flags & FLAG.END_STREAM && this.#streams.has(streamId)) this.#end(streamId, open);
  }

  #end(streamId: number, { answered, stream, unsent }: OpenStream): void {
    this.#streams.delete(streamId);
    // The peer needs no more of our body (RFC 9113 8.1).
    if (unsent !== '') this.#control(numberFrame(TYPE.RST_STREAM, streamId, CODE.CANCEL));
    if (answered) stream.onEnd();
    else stream.onFailed('the stream ended without an answer', true);
    this.#endIfDrained();
  }

  #onReset(streamId: number, code: number): void {
    const open = this.#streams.get(streamId);
    if (!open) return;
    this.#streams.delete(streamId);
    open.stream.onFailed(`the peer reset the stream (code ${code})`, code !== CODE.REFUSED_STREAM);
    this.#endIfDrained();
  }

  #onSettings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      const [id, value] = [payload.readUInt16BE(at), payload.readUInt32BE(at + 2)];
      if (id === SETTING.MAX_CONCURRENT_STREAMS) this.#peerMaxStreams = value;
      else if (id === SETTING.MAX_FRAME_SIZE) this.#peerMaxFrameBytes = Math.min(value, MAX_FRAME_BYTES);
      else if (id === SETTING.INITIAL_WINDOW_SIZE) {
        // RFC 9113 6.9.2: streams that are open follow.
        for (const open of this.#streams.values()) open.sendWindow += value - this.#peerInitialWindow;
        this.#peerInitialWindow = value;
      }
    }
    this.#control(frame(TYPE.SETTINGS, FLAG.ACK, 0));
    this.#sendBodies();
  }

  /** Streams above the last one that the peer took are not executed; the others go on. */
  #onGoAway(payload: Buffer): void {
    if (payload.length < 8) throw new ConnectionError(CODE.FRAME_SIZE_ERROR, 'a short GOAWAY');
    this.#draining = true;
    const last = payload.readUInt32BE(0) & 0x7fffffff;
    for (const [id, { stream }] of this.#streams) {
      if (id <= last) continue;
      this.#streams.delete(id);
      stream.onFailed('the peer goes away', false);
    }
    this.#endIfDrained();
  }

  #onWindow(streamId: number, increment: number): void {
    if (streamId === 0) this.#sendWindow += increment;
    else {
      const open = this.#streams.get(streamId);
      if (open) open.sendWindow += increment;
    }
    this.#sendBodies();
  }

  #sendBodies(): void {
    for (const [id, open] of this.#streams) if (open.unsent !== '') this.#sendBody(id, open);
  }

  #sendBody(id: number, open: OpenStream): void {
    while (open.unsent !== '') {
      const { unsent } = open;
      const length = Math.min(unsent.length, open.sendWindow, this.#sendWindow, this.#peerMaxFrameBytes);
      if (length <= 0) return;
      const isLast = length === unsent.length;
      this.#write(frameHeader(length, TYPE.DATA, isLast ? FLAG.END_STREAM : 0, id) + unsent.slice(0, length));
      open.unsent = unsent.slice(length);
      open.sendWindow -= length;
      this.#sendWindow -= length;
    }
  }

  #endIfDrained(): void {
    if (!this.#draining || this.#streams.size > 0 || !this.#connected) return;
    this.#flush();
    this.#closeReason = 'closed';
    this.#endedByPeer = false;
    this.#socket.write(frame(TYPE.GOAWAY, 0, 0, new Uint8Array(8)));
    this.#socket.destroySoon();
  }

  #control(bytes: Buffer): void {
    this.#write(bytes.toString('latin1'));
  }

  /** What one turn of the event loop has to say leaves in one write: under load, many requests. */
  #write(octets: string): void {
    this.#out += octets;
    if (this.#flushing || !this.#connected) return;
    this.#flushing = true;
    this.#options.afterInput(this.#flushLater);
  }

  #flush(): void {
    this.#flushing = false;
    if (this.#out === '' || this.#socket.destroyed || this.#socket.writableEnded) return;
    this.#socket.write(this.#out, 'latin1');
    this.#out = '';
    if (this.#socket.writableLength > this.#options.maxUnsentBytes) this.destroy('the peer does not read');
  }
}

function requireLength({ payload }: Frame, length: number): Buffer {
  if (payload.length !== length) throw new ConnectionError(CODE.FRAME_SIZE_ERROR, 'a frame of the wrong length');
  return payload;
}
