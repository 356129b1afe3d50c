import { ImsdcError } from '../../../errors.ts';
import { MAX_STREAM_ID, type PlainAssociation, type PlainEvents } from '../../../ndc/association.ts';
import type { MessageKind } from '../../../ndc/channel.ts';
import type { FrameBody, FrameHeader, ReplyBody } from '../codec.ts';
import type { FrameSocket } from '../frame-socket.ts';
import { WORKER_ERRORS, type WorkerErrorName } from '../protocol.ts';
import { type Hello, Refusal } from './limits.ts';
import { PayloadStream } from './payload-stream.ts';
import { type Offer, Pipe, type PipeOwner } from './pipe.ts';
import { plainStats } from './stats.ts';
import { StreamSink } from './stream-sink.ts';
import { channelSpec, farEnd, type StreamSpec } from './translate.ts';

type State = FrameBody<'STATE'>['state'];

const FAILURES = {
  fingerprintMismatch: 'FINGERPRINT_MISMATCH',
  handshakeFailed: 'HANDSHAKE_FAILED',
  peerClosed: 'PEER_CLOSED',
  peerGone: 'PEER_GONE',
  fault: 'INTERNAL',
} as const satisfies Record<NonNullable<PlainEvents['state']['reason']>, WorkerErrorName>;

/** What may be read beyond the marks of the pipes, with the acknowledgements that those on the way out wait for. */
const MAX_READ_AHEAD_BYTES = 4 << 20;

/** One handle: the plain association, a pipe per stream it receives on, and the payload streams. */
export class Association implements PipeOwner {
  readonly plain: PlainAssociation;
  readonly #hello: Hello;
  readonly #header: FrameHeader;
  readonly #control: FrameSocket;
  readonly #payload: FrameSocket;
  readonly #pipes = new Map<number, Pipe>();
  readonly #payloads = new Map<number, PayloadStream>();
  readonly #specs = new Map<number, StreamSpec>();
  /** Pipes of other associations that wait for room on a stream of this one. */
  readonly #waiting = new Map<number, Set<Pipe>>();
  readonly #holding = new Set<Pipe>();
  readonly #closing = new Map<number, WorkerErrorName>();
  #streams = 0;
  #state: State = 'reserved';
  #stateSinceMs = performance.now();
  #startedAtMs = 0;
  #handshakeUs = 0;
  #timeout: NodeJS.Timeout | null = null;

  constructor(
    plain: PlainAssociation,
    hello: Hello,
    header: FrameHeader,
    sockets: { control: FrameSocket; payload: FrameSocket },
  ) {
    this.plain = plain;
    this.#hello = hello;
    this.#header = { ...header, requestId: 0 };
    this.#control = sockets.control;
    this.#payload = sockets.payload;
    plain.on('state', (event) => this.#onState(event));
    plain.on('stream', ({ streamId, state }) => (state === 'open' ? this.#onOpen(streamId) : this.#onClosed(streamId)));
    plain.on('message', ({ streamId, data, kind }) => this.#onMessage(streamId, data, kind));
    plain.on('writable', ({ streamId }) => this.#onWritable(streamId));
  }

  async start(body: FrameBody<'START'>): Promise<void> {
    if (this.#state !== 'reserved') throw new Refusal('WRONG_STATE', this.#state);
    if (body.streams === 0) throw new Refusal('BAD_REMOTE', 'no streams');
    this.#startedAtMs = performance.now();
    const fitting = [...this.#specs.values()].filter(({ streamId }) => streamId < body.streams);
    await this.plain.start(farEnd(body), fitting.map(channelSpec));
    this.#streams = body.streams;
    for (const streamId of [...this.#specs.keys()]) {
      if (streamId < body.streams) continue;
      this.#specs.delete(streamId);
      this.#sendStream(streamId, 'closed', WORKER_ERRORS.STREAM_ID_TOO_HIGH.value);
    }
    // It may have ended, or been released, while its loopback socket was being bound.
    if (this.plain.state !== 'connecting') return;
    this.#timeout = setTimeout(() => this.#end('failed', 'HANDSHAKE_TIMEOUT'), this.#hello.associationTimeoutMs);
  }

  update(body: FrameBody<'UPDATE'>): void {
    this.plain.moveTo(body.remoteAddress, body.remotePort);
    this.plain.setMaxMessageSize(body.maxMessageSizeBytes);
  }

  /** The whole set; see STREAMS. */
  setStreams(body: FrameBody<'STREAMS'>): ReplyBody<'STREAMS'> {
    const wanted = new Set(body.streams.map(({ streamId }) => streamId));
    for (const streamId of [...this.#specs.keys()]) if (!wanted.has(streamId)) this.closeStream(streamId);
    const outcomes = body.streams.map((spec) => {
      const code = this.#refusal(spec.streamId);
      if (code === 0 && !this.#specs.has(spec.streamId)) {
        this.#specs.set(spec.streamId, spec);
        if (this.#state === 'connecting' || this.#state === 'connected') this.plain.addStream(channelSpec(spec));
      }
      return { streamId: spec.streamId, code };
    });
    return { outcomes };
  }

  /** Resets the stream of this handle only; what is pending from it is dropped, the engine is told on its port. */
  closeStream(streamId: number, code: WorkerErrorName = 'RESET_BY_ENGINE'): void {
    this.#specs.delete(streamId);
    const pipe = this.#pipes.get(streamId);
    const sink = pipe?.sink;
    pipe?.discard();
    this.#closing.set(streamId, code);
    this.plain.closeStream(streamId);
    this.#closing.delete(streamId);
    if (sink instanceof PayloadStream) sink.end();
  }

  /** See RESET_STREAM. Closed before it is open, the peer would never hear of it: its own end would open as agreed. */
  resetByEngine(streamId: number): void {
    if (!this.plain.isOpen(streamId)) throw new Refusal('STREAM_UNKNOWN', 'the stream is not open');
    this.closeStream(streamId);
  }

  /** See ROUTE; `to` is the association of a stream sink. */
  route(body: FrameBody<'ROUTE'>, to: Association | undefined): void {
    const pipe = this.#pipe(body.streamId);
    switch (body.sink) {
      case 'discard':
        pipe.route(null);
        return;
      case 'payload':
        pipe.route(this.#payloadStream(body.streamId));
        return;
      case 'stream':
        if (!to) throw new Refusal('UNKNOWN_HANDLE', 'toHandle');
        pipe.route(new StreamSink(to, body.toStreamId, pipe));
    }
  }

  grant(streamId: number, bytes: number): void {
    this.#payloadStream(streamId).grant(bytes);
    this.#pipes.get(streamId)?.flush();
  }

  fromEngine(body: FrameBody<'PAYLOAD'>): void {
    this.#payloadStream(body.streamId).fromEngine(body.data, body.kind);
  }

  async release(): Promise<ReplyBody<'RELEASE'>> {
    if (this.#timeout) clearTimeout(this.#timeout);
    this.#state = 'closed';
    for (const pipe of this.#pipes.values()) pipe.discard();
    await this.plain.close();
    this.#releaseWaiting();
    return this.plain.counters();
  }

  hold(pipe: Pipe, held: boolean): void {
    if (held) this.#holding.add(pipe);
    else this.#holding.delete(pipe);
    if (this.#holding.size > 0) this.plain.pause(() => this.#pendingBytes() < MAX_READ_AHEAD_BYTES);
    else this.plain.resume();
  }

  /** R29, R11: a fault of the reader closes the channel at both ends of its route. */
  reset(streamId: number, code: WorkerErrorName): void {
    const sink = this.#pipes.get(streamId)?.sink;
    if (sink instanceof StreamSink) sink.end(code);
    this.closeStream(streamId, code);
  }

  countDropped(streamId: number): void {
    this.plain.countDropped(streamId);
  }

  stats(): FrameBody<'STATS_DATA'>['records'][number] {
    return {
      ...plainStats(this.plain),
      handle: this.#header.handle,
      generation: this.#header.generation,
      state: this.#state,
      stateAgeMs: Math.round(performance.now() - this.#stateSinceMs),
      handshakeUs: this.#handshakeUs,
      bufferedBytes: this.plain.bufferedAmount() + this.#pendingBytes(),
    };
  }

  #pendingBytes(): number {
    let sum = 0;
    for (const pipe of this.#pipes.values()) sum += pipe.pendingBytes;
    return sum;
  }

  /** Offers a message of another association on `streamId`; a full one is flushed when there is room. */
  offer(streamId: number, data: Buffer, kind: MessageKind, from: Pipe): Offer {
    if (this.#state === 'failed' || this.#state === 'closed') return 'gone';
    if (!this.#specs.has(streamId)) return 'gone';
    try {
      if (this.plain.send(streamId, data, kind)) return 'taken';
    } catch (error) {
      if (error instanceof ImsdcError && error.code === 'MEDIA_MESSAGE_TOO_LARGE') return 'tooLarge';
      throw error;
    }
    let waiting = this.#waiting.get(streamId);
    if (!waiting) this.#waiting.set(streamId, (waiting = new Set()));
    waiting.add(from);
    return 'full';
  }

  #refusal(streamId: number): number {
    const tooHigh = streamId > MAX_STREAM_ID || (this.#streams > 0 && streamId >= this.#streams);
    return tooHigh ? WORKER_ERRORS.STREAM_ID_TOO_HIGH.value : 0;
  }

  #pipe(streamId: number): Pipe {
    let pipe = this.#pipes.get(streamId);
    if (!pipe) {
      pipe = new Pipe(streamId, this, this.#hello.bufferedBytesPerStream, this.#hello.slowReaderLimitMs);
      this.#pipes.set(streamId, pipe);
    }
    return pipe;
  }

  #payloadStream(streamId: number): PayloadStream {
    let stream = this.#payloads.get(streamId);
    if (!stream) {
      const { plain } = this;
      const half = plain.highMarkBytes >> 1;
      const peer = {
        get open() {
          return plain.isOpen(streamId);
        },
        get low() {
          return plain.bufferedAmount(streamId) <= half;
        },
        send: (data: Uint8Array, kind: MessageKind) => this.#sendFromEngine(streamId, data, kind),
        close: () => this.closeStream(streamId),
        countDropped: () => plain.countDropped(streamId),
      };
      stream = new PayloadStream(streamId, this.#payload, this.#header, peer, this.#hello.bufferedBytesPerStream);
      this.#payloads.set(streamId, stream);
    }
    return stream;
  }

  /** A message that the peer cannot take is dropped and its stream reset (R11); true as for one that went. */
  #sendFromEngine(streamId: number, data: Uint8Array, kind: MessageKind): boolean {
    try {
      return this.plain.send(streamId, data, kind);
    } catch (error) {
      if (!(error instanceof ImsdcError) || error.code !== 'MEDIA_MESSAGE_TOO_LARGE') throw error;
      this.countDropped(streamId);
      this.closeStream(streamId, 'MESSAGE_TOO_LARGE');
      return true;
    }
  }

  /** ue-side.md 9: above the size that we advertised it costs the stream, at both ends of its route. */
  #onMessage(streamId: number, data: Buffer, kind: MessageKind): void {
    if (data.length <= this.#hello.maxMessageSizeBytes) {
      this.#pipe(streamId).push(data, kind);
      return;
    }
    this.countDropped(streamId);
    this.reset(streamId, 'MESSAGE_TOO_LARGE');
  }

  #onWritable(streamId: number): void {
    this.#payloads.get(streamId)?.writable();
    const waiting = this.#waiting.get(streamId);
    this.#waiting.delete(streamId);
    for (const pipe of waiting ?? []) pipe.flush();
  }

  #onOpen(streamId: number): void {
    this.#sendStream(streamId, 'open', 0);
    this.#payloads.get(streamId)?.opened();
    this.#onWritable(streamId);
  }

  #onClosed(streamId: number): void {
    const code = this.#closing.get(streamId);
    const pipe = this.#pipes.get(streamId);
    if (code === undefined && (this.plain.state === 'failed' || this.plain.state === 'closed')) return;
    if (code === undefined) this.#specs.delete(streamId);
    this.#pipes.delete(streamId);
    // Before its other half, which ends with it: whose goes first tells who closed the channel.
    this.#sendStream(streamId, 'closed', WORKER_ERRORS[code ?? 'PEER_RESET_STREAM'].value);
    pipe?.end();
    this.#payloads.delete(streamId);
    this.#onWritable(streamId);
  }

  #onState(event: PlainEvents['state']): void {
    if (event.state === 'reserved' || this.#state === 'closed' || this.#state === 'failed') return;
    if (event.state === 'connected') {
      if (this.#timeout) clearTimeout(this.#timeout);
      this.#handshakeUs = Math.round((performance.now() - this.#startedAtMs) * 1000);
    }
    if (event.state === 'failed' || event.state === 'closed') {
      this.#end(event.state, event.reason ? FAILURES[event.reason] : 'PEER_CLOSED', event.detail);
    } else this.#setState(event.state, 0);
  }

  /** What the engine has not taken yet goes out now, beyond its credit: the buffers are bounded, and STATE must be last. */
  #end(state: 'failed' | 'closed', code: WorkerErrorName, detail = ''): void {
    if (this.#timeout) clearTimeout(this.#timeout);
    for (const [streamId, pipe] of this.#pipes) {
      if (!(pipe.sink instanceof PayloadStream)) continue;
      pipe.sink.grant(Number.MAX_SAFE_INTEGER);
      pipe.end();
      this.#pipes.delete(streamId);
    }
    this.#setState(state, WORKER_ERRORS[code].value, detail);
    this.#releaseWaiting();
    void this.plain.close();
  }

  /** Nobody will read here any more: what waits for us is dropped at its source. */
  #releaseWaiting(): void {
    for (const streamId of [...this.#waiting.keys()]) this.#onWritable(streamId);
  }

  #setState(state: State, code: number, detail = ''): void {
    this.#state = state;
    this.#stateSinceMs = performance.now();
    const remote = this.plain.remote;
    this.#control.send('STATE', this.#header, {
      state,
      code,
      detail: detail.slice(0, 128),
      remoteAddress: remote?.address ?? '',
      remotePort: remote?.port ?? 0,
    });
  }

  #sendStream(streamId: number, state: 'open' | 'closed', code: number): void {
    this.#control.send('STREAM', this.#header, { streamId, state, code, detail: '' });
  }
}
