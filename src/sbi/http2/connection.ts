import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { clientTlsOptions, type SbiTls } from '../tls.ts';
import {
  CODE,
  ConnectionError,
  FLAG,
  FRAME_HEADER_BYTES,
  type Frame,
  FrameReader,
  frame,
  MAX_FRAME_BYTES,
  numberFrame,
  PREFACE,
  SETTING,
  settingsFrame,
  TYPE,
  writeFrameHeader,
} from './frames.ts';
import { decodeBlock, HeaderBlockError } from './header-block.ts';

/** One request as its stream lives; the connection calls each of `onEnd` and `onFailed` at most once, and one of them. */
export interface Stream {
  onResponse(status: number, headers: Readonly<Record<string, string>>): void;
  onData(chunk: Buffer): void;
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

interface OpenStream {
  readonly stream: Stream;
  sendWindow: number;
  /** Body that the peer's windows do not take yet. */
  unsent: Buffer | undefined;
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
  readonly #streams = new Map<number, OpenStream>();
  readonly #pongs: (() => void)[] = [];
  #out: Buffer[] = [];
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
    this.#socket = secure
      ? connectTls({ ...tls, host, port, ALPNProtocols: ['h2'], ...(/[a-z]/i.test(host) ? { servername: host } : {}) })
      : connectTcp({ host, port });
    this.#socket.setNoDelay(true);
    this.#socket.setTimeout(options.connectTimeoutMs, () => this.destroy('no connection in time'));
    this.#socket.once(secure ? 'secureConnect' : 'connect', () => this.#onConnected());
    this.#socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#closeReason = error.message;
      this.#endedByPeer = ENDED_BY_PEER.has(error.code ?? '');
    });
    this.#socket.on('close', () => this.#onClosed());
    this.#write(Buffer.from(PREFACE));
    this.#write(
      settingsFrame([
        [SETTING.HEADER_TABLE_SIZE, 0],
        [SETTING.ENABLE_PUSH, 0],
        [SETTING.INITIAL_WINDOW_SIZE, options.streamWindowBytes],
      ]),
    );
    this.#write(numberFrame(TYPE.WINDOW_UPDATE, 0, CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES));
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

  /** `block`: the header fields, encoded. Returns the stream's id, for `cancel`. */
  request(block: string, body: Buffer | undefined, stream: Stream): number {
    const id = this.#nextId;
    this.#nextId += 2;
    if (this.#nextId > MAX_STREAM_ID) this.#draining = true;
    const open: OpenStream = { stream, sendWindow: this.#peerInitialWindow, unsent: undefined, answered: false };
    this.#streams.set(id, open);
    const bodyBytes = body?.length ?? 0;
    const inOne = bodyBytes <= Math.min(this.#sendWindow, open.sendWindow, this.#peerMaxFrameBytes) && bodyBytes > 0;
    const length = FRAME_HEADER_BYTES + block.length + (inOne ? FRAME_HEADER_BYTES + bodyBytes : 0);
    const out = Buffer.allocUnsafe(length);
    const flags = FLAG.END_HEADERS | (bodyBytes === 0 ? FLAG.END_STREAM : 0);
    writeFrameHeader(out, 0, block.length, TYPE.HEADERS, flags, id);
    out.write(block, FRAME_HEADER_BYTES, 'latin1');
    if (inOne) {
      const at = FRAME_HEADER_BYTES + block.length;
      writeFrameHeader(out, at, bodyBytes, TYPE.DATA, FLAG.END_STREAM, id);
      out.set(body!, at + FRAME_HEADER_BYTES);
      this.#sendWindow -= bodyBytes;
    }
    this.#write(out);
    if (!inOne && bodyBytes > 0) {
      open.unsent = body;
      this.#sendBody(id, open);
    }
    return id;
  }

  /** Forgets a stream; its callbacks are not called any more. */
  cancel(id: number): void {
    if (!this.#streams.delete(id)) return;
    this.#write(numberFrame(TYPE.RST_STREAM, id, CODE.CANCEL));
    this.#endIfDrained();
  }

  ping(onAnswer: () => void): void {
    this.#pongs.push(onAnswer);
    this.#write(frame(TYPE.PING, 0, 0, new Uint8Array(8)));
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

  #onData(chunk: Buffer): void {
    try {
      for (const received of this.#reader.push(chunk)) this.#onFrame(received);
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
    const { type, flags, streamId, payload } = received;
    if (this.#block && type !== TYPE.CONTINUATION) {
      throw new ConnectionError(CODE.PROTOCOL_ERROR, 'a header block was interrupted');
    }
    switch (type) {
      case TYPE.DATA:
        this.#onBody(received);
        return;
      case TYPE.HEADERS:
        this.#block = { streamId, flags, parts: [payload], bytes: payload.length };
        if (flags & FLAG.END_HEADERS) this.#onBlock();
        return;
      case TYPE.CONTINUATION:
        this.#onContinuation(received);
        return;
      case TYPE.RST_STREAM:
        this.#onReset(streamId, requireLength(payload, 4).readUInt32BE(0));
        return;
      case TYPE.SETTINGS:
        if (!(flags & FLAG.ACK)) this.#onSettings(payload);
        return;
      case TYPE.PING:
        if (flags & FLAG.ACK) this.#pongs.shift()?.();
        else this.#write(frame(TYPE.PING, FLAG.ACK, 0, requireLength(payload, 8)));
        return;
      case TYPE.GOAWAY:
        this.#onGoAway(payload);
        return;
      case TYPE.WINDOW_UPDATE:
        this.#onWindow(streamId, requireLength(payload, 4).readUInt32BE(0) & 0x7fffffff);
        return;
      case TYPE.PUSH_PROMISE:
        throw new ConnectionError(CODE.PROTOCOL_ERROR, 'a push that we did not allow');
    }
  }

  #onContinuation({ flags, streamId, payload }: Frame): void {
    const block = this.#block;
    if (block?.streamId !== streamId) throw new ConnectionError(CODE.PROTOCOL_ERROR, 'a continuation of nothing');
    block.parts.push(payload);
    block.bytes += payload.length;
    if (block.bytes > MAX_BLOCK_BYTES || block.parts.length > 8) {
      throw new ConnectionError(CODE.PROTOCOL_ERROR, 'a header block without end');
    }
    if (flags & FLAG.END_HEADERS) this.#onBlock();
  }

  #onBlock(): void {
    const { streamId, flags, parts } = this.#block!;
    this.#block = undefined;
    // Decoded also for streams that are gone: that is where table updates would be lost otherwise.
    const headers = decodeBlock(parts.length === 1 ? parts[0]! : Buffer.concat(parts));
    const open = this.#streams.get(streamId);
    if (!open) return;
    const status = Number(headers[':status']);
    // 1xx announces; a block after the answer is a trailer, which no service of ours has.
    if (!open.answered && status >= 200) {
      open.answered = true;
      open.stream.onResponse(status, headers);
    }
    if (flags & FLAG.END_STREAM) this.#end(streamId, open);
  }

  #onBody({ flags, streamId, payload, wholeBytes }: Frame): void {
    this.#received += wholeBytes;
    if (this.#received > CONNECTION_WINDOW_BYTES / 2) {
      this.#write(numberFrame(TYPE.WINDOW_UPDATE, 0, this.#received));
      this.#received = 0;
    }
    const open = this.#streams.get(streamId);
    if (!open) return;
    if (!open.answered) throw new ConnectionError(CODE.PROTOCOL_ERROR, 'a body before its head');
    const padding = wholeBytes - payload.length;
    // The stream's window is for the body alone.
    if (padding > 0) this.#write(numberFrame(TYPE.WINDOW_UPDATE, streamId, padding));
    if (payload.length > 0) open.stream.onData(payload);
    if (flags & FLAG.END_STREAM && this.#streams.has(streamId)) this.#end(streamId, open);
  }

  #end(streamId: number, { answered, stream, unsent }: OpenStream): void {
    this.#streams.delete(streamId);
    // The peer needs no more of our body (RFC 9113 8.1).
    if (unsent) this.#write(numberFrame(TYPE.RST_STREAM, streamId, CODE.CANCEL));
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
    this.#write(frame(TYPE.SETTINGS, FLAG.ACK, 0));
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
    for (const [id, open] of this.#streams) if (open.unsent) this.#sendBody(id, open);
  }

  #sendBody(id: number, open: OpenStream): void {
    while (open.unsent) {
      const bytes = Math.min(open.unsent.length, open.sendWindow, this.#sendWindow, this.#peerMaxFrameBytes);
      if (bytes <= 0) return;
      const last = bytes === open.unsent.length;
      this.#write(frame(TYPE.DATA, last ? FLAG.END_STREAM : 0, id, open.unsent.subarray(0, bytes)));
      open.unsent = last ? undefined : open.unsent.subarray(bytes);
      open.sendWindow -= bytes;
      this.#sendWindow -= bytes;
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

  /** What one turn of the event loop has to say leaves in one write: under load, many requests. */
  #write(bytes: Buffer): void {
    this.#out.push(bytes);
    if (this.#flushing || !this.#connected) return;
    this.#flushing = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = false;
    if (this.#out.length === 0 || this.#socket.destroyed || this.#socket.writableEnded) return;
    this.#socket.write(this.#out.length === 1 ? this.#out[0]! : Buffer.concat(this.#out));
    this.#out = [];
    if (this.#socket.writableLength > this.#options.maxUnsentBytes) this.destroy('the peer does not read');
  }
}

function requireLength(payload: Buffer, length: number): Buffer {
  if (payload.length !== length) throw new ConnectionError(CODE.FRAME_SIZE_ERROR, 'a frame of the wrong length');
  return payload;
}
