import { setTimeout } from 'node:timers/promises';
import type { PeerConnection } from 'node-datachannel';
import { TypedEmitter } from '../base/emitter.ts';
import { ImsdcError } from '../errors.ts';
import { Channel, type ChannelCounters, type ChannelSpec, type MessageKind, zeroCounters } from './channel.ts';
import { chooseFingerprint, pinhole, remoteOffer } from './description.ts';
import { InnerLeg } from './inner-leg.ts';
import { openConnection } from './native-connection.ts';
import { canonicalAddress, OuterPort } from './outer-port.ts';
import { RemoteGate } from './remote-gate.ts';
import {
  type FailureReason,
  type FarEnd,
  HIGH_MARK_BYTES,
  MAX_MESSAGE_BYTES,
  MAX_STREAM_ID,
  type PlainEvents,
  type PlainState,
  type ReserveRequest,
} from './types.ts';

export {
  type Certificate,
  type FailureReason,
  type FarEnd,
  HIGH_MARK_BYTES,
  LOCAL_SCTP_PORT,
  MAX_MESSAGE_BYTES,
  MAX_STREAM_ID,
  type PlainEvents,
  type PlainState,
  type ReserveRequest,
} from './types.ts';

/** How long the sockets outlive the connection, so that the far end hears of its end. */
const LINGER_MS = 50;

const DEFAULT_MTU_BYTES = 1200;

/** Closed channels whose counters are kept. */
const MAX_CLOSED = 256;

/** Strong references: garbage collection of a wrapper would close the connection under it. */
const live = new Set<PlainAssociation>();

/**
 * A DTLS/SCTP association over plain UDP, or towards a UE that does ICE: node-datachannel behind a shim that owns the
 * UDP port of the media line, answers STUN itself and plays an ICE-lite peer to libdatachannel on loopback. So no ICE
 * is needed on the far side, and nothing is ever sent that was not asked for.
 *
 * `reserve` → `start` → state `connected`, stream `open` → `send`/`message` → `close`.
 */
export class PlainAssociation extends TypedEmitter<PlainEvents> {
  readonly outer: OuterPort;
  readonly highMarkBytes: number;
  readonly #request: ReserveRequest;
  readonly #channels = new Map<number, Channel>();
  /** Channels that are gone, by stream id, for whoever asks what they carried; the newest MAX_CLOSED. */
  readonly #closed = new Map<number, { readonly spec: ChannelSpec; readonly counters: Readonly<ChannelCounters> }>();
  /** Totals of channels that are gone. */
  readonly #past = zeroCounters();
  #pc: PeerConnection | null = null;
  #inner: InnerLeg | null = null;
  #gate: RemoteGate | null = null;
  #state: PlainState = 'reserved';
  #fingerprint = '';
  #maxMessageSizeBytes = MAX_MESSAGE_BYTES;
  #ending: Promise<void> | null = null;
  readonly #nativeClosed: Promise<void>;
  #onNativeClosed!: () => void;

  private constructor(outer: OuterPort, request: ReserveRequest) {
    super();
    this.outer = outer;
    this.#request = request;
    this.highMarkBytes = request.highMarkBytes ?? HIGH_MARK_BYTES;
    this.#nativeClosed = new Promise((resolve) => (this.#onNativeClosed = resolve));
  }

  /** Binds the port and keeps early datagrams; nothing costly is built. Throws PORT_UNAVAILABLE. */
  static async reserve(request: ReserveRequest): Promise<PlainAssociation> {
    const shared = request.sharedWith?.outer.share();
    const outer =
      shared ?? (await OuterPort.bind({ address: request.bindAddress, port: request.port, ice: request.ice ?? false }));
    return new PlainAssociation(outer, request);
  }

  get state(): PlainState {
    return this.#state;
  }

  get localPort(): number {
    return this.outer.port;
  }

  get iceUfrag(): string {
    return this.outer.credentials?.ufrag ?? '';
  }

  get icePwd(): string {
    return this.outer.credentials?.password ?? '';
  }

  /** Where the far end is: the SDP's address, or latched, or nominated. */
  get remote(): { readonly address: string; readonly port: number } | null {
    return this.#gate?.remote ?? null;
  }

  /**
   * Builds DTLS and SCTP and plays what was kept; when active, ClientHello leaves at once.
   *
   * @throws MEDIA_BAD_REMOTE, MEDIA_WRONG_STATE
   */
  async start(far: FarEnd, streams: readonly ChannelSpec[] = []): Promise<void> {
    if (this.#state !== 'reserved') {
      throw new ImsdcError('MEDIA_WRONG_STATE', { operation: 'start', state: this.#state });
    }
    this.#fingerprint = chooseFingerprint(far.fingerprints);
    const remote = { address: canonicalAddress(far.address), port: far.port };
    this.setMaxMessageSize(far.maxMessageSizeBytes);
    this.#state = 'connecting';
    const inner = await InnerLeg.bind();
    if (this.#ending) return inner.close();
    this.#inner = inner;
    const gate = new RemoteGate(this.outer, remote, {
      ice: far.ice ?? false,
      natLatch: far.natLatch ?? false,
      deliver: (datagram) => inner.deliver(datagram),
    });
    this.#gate = gate;
    inner.onDatagram = (datagram) => gate.send(datagram);
    live.add(this);
    try {
      this.#connect(inner, far, streams);
    } catch (error) {
      this.#fault(error);
      throw error;
    }
    this.emit('state', { state: 'connecting' });
    gate.open();
    if (far.pinhole && far.role === 'passive') gate.send(pinhole());
  }

  /** False: the id is above MAX_STREAM_ID, or in use, or the association has ended. Before `start` it is an error. */
  addStream(spec: ChannelSpec): boolean {
    if (!this.#pc || this.#ending || spec.streamId > MAX_STREAM_ID || this.#channels.has(spec.streamId)) return false;
    const { streamId } = spec;
    const native = this.#pc.createDataChannel(spec.label ?? '', {
      negotiated: true,
      id: streamId,
      unordered: !spec.ordered,
      ...(spec.subprotocol ? { protocol: spec.subprotocol } : {}),
      ...(spec.maxRetransmissions === undefined ? {} : { maxRetransmits: spec.maxRetransmissions }),
      ...(spec.maxTimeMs === undefined ? {} : { maxPacketLifeTime: spec.maxTimeMs }),
    });
    const channel = new Channel(native, spec, this.highMarkBytes >> 1, {
      open: () => this.emit('stream', { streamId, state: 'open' }),
      closed: () => this.#forget(channel),
      message: (data, kind) => this.emit('message', { streamId, data, kind }),
      writable: () => this.emit('writable', { streamId }),
      fault: (error) => this.#fault(error),
    });
    this.#channels.set(streamId, channel);
    return true;
  }

  /** Resets the stream; the far end sees it closed. */
  closeStream(streamId: number): void {
    const channel = this.#channels.get(streamId);
    if (!channel) return;
    channel.close();
    this.#forget(channel);
  }

  /**
   * False: nothing was taken (not open, or the buffer is above its mark: wait for `writable`).
   *
   * @throws MEDIA_MESSAGE_TOO_LARGE
   */
  send(streamId: number, data: Uint8Array | string, kind: MessageKind): boolean {
    const channel = this.#channels.get(streamId);
    if (!channel?.isOpen || channel.bufferedAmount >= this.highMarkBytes) return false;
    const bytes = typeof data === 'string' ? Buffer.byteLength(data) : data.length;
    const limit = this.#maxMessageSizeBytes;
    if (bytes > limit) throw new ImsdcError('MEDIA_MESSAGE_TOO_LARGE', { bytes, streamId, limit });
    return channel.send(data, kind);
  }

  /** Bytes accepted and not yet handed to SCTP, of one stream or of all. */
  bufferedAmount(streamId?: number): number {
    if (streamId !== undefined) return this.#channels.get(streamId)?.bufferedAmount ?? 0;
    let sum = 0;
    for (const channel of this.#channels.values()) sum += channel.bufferedAmount;
    return sum;
  }

  /** Smoothed round-trip time of SCTP; 0 while unknown. */
  rttMs(): number {
    return this.#state === 'connected' ? Math.max(0, this.#pc?.rtt() ?? 0) : 0;
  }

  isOpen(streamId: number): boolean {
    return this.#channels.get(streamId)?.isOpen ?? false;
  }

  /** Streams in use, and those that were closed and not opened again, with their counters. */
  *streams(): Generator<{ readonly spec: ChannelSpec; readonly counters: Readonly<ChannelCounters> }> {
    yield* this.#channels.values();
    for (const [streamId, closed] of this.#closed) if (!this.#channels.has(streamId)) yield closed;
  }

  /** Totals over all streams there ever were. */
  counters(): ChannelCounters {
    const total = { ...this.#past };
    for (const channel of this.#channels.values()) add(total, channel.counters);
    return total;
  }

  /** A message of this stream went nowhere. */
  countDropped(streamId: number): void {
    const counters = this.#channels.get(streamId)?.counters ?? this.#past;
    counters.dropped++;
  }

  /**
   * Holds back DTLS of the far end but for a trickle that keeps SCTP alive; its window closes (R29). More than a trickle
   * while what we send waits for acknowledgement and `mayRead` says that what comes with it can be kept.
   */
  pause(mayRead: () => boolean = () => true): void {
    this.#gate?.pause({ isSending: () => this.bufferedAmount() > 0, mayRead });
  }

  resume(): void {
    this.#gate?.resume();
  }

  /** The far end moved (R12 says this is no new association). @throws MEDIA_BAD_REMOTE, MEDIA_WRONG_STATE */
  moveTo(address: string, port: number): void {
    if (!this.#gate) throw new ImsdcError('MEDIA_WRONG_STATE', { operation: 'move', state: this.#state });
    this.#gate.moveTo({ address: canonicalAddress(address), port });
  }

  /** What the far end takes; 0 = as much as we can send. */
  setMaxMessageSize(bytes: number): void {
    this.#maxMessageSizeBytes = bytes === 0 ? MAX_MESSAGE_BYTES : Math.min(bytes, MAX_MESSAGE_BYTES);
  }

  /** Ends the association and frees its sockets. Idempotent; resolves when they are closed. */
  close(): Promise<void> {
    this.#ending ??= this.#end('closed');
    return this.#ending;
  }

  #connect(inner: InnerLeg, far: FarEnd, streams: readonly ChannelSpec[]): void {
    const pc = openConnection(this.#request.certificate, this.#request.mtuBytes ?? DEFAULT_MTU_BYTES, {
      iceConnected: () => inner.ready(),
      state: (state) => this.#onNativeState(state),
      fault: (error) => this.#fault(error),
    });
    this.#pc = pc;
    const offer = remoteOffer({
      innerPort: inner.port,
      credentials: inner.credentials,
      fingerprint: this.#fingerprint,
      localRole: far.role,
      sctpPort: far.sctpPort,
    });
    pc.setRemoteDescription(offer, 'offer');
    for (const spec of streams) this.addStream(spec);
    // Any precondition that fails inside setLocalDescription aborts the process, so all of them are checked here.
    if (pc.signalingState() !== 'have-remote-offer') throw new Error(`signaling state ${pc.signalingState()}`);
    pc.setLocalDescription('answer');
  }

  #onNativeState(state: string): void {
    if (state === 'closed') this.#onNativeClosed();
    if (this.#ending) return;
    switch (state) {
      case 'connected':
        this.#gate?.proved();
        this.#state = 'connected';
        this.emit('state', { state: 'connected' });
        return;
      case 'failed':
        this.#fail(this.#mismatched() ? 'fingerprintMismatch' : 'handshakeFailed');
        return;
      case 'disconnected':
      case 'closed':
        this.#fail(this.#gate?.heardLately() ? 'peerClosed' : 'peerGone');
    }
  }

  /** libdatachannel says only that it failed; the certificate it saw says why. */
  #mismatched(): boolean {
    const seen = this.#pc?.remoteFingerprint().value;
    return seen !== undefined && seen !== '' && !this.#fingerprint.toUpperCase().endsWith(` ${seen.toUpperCase()}`);
  }

  #fault(error: unknown): void {
    if (!this.#ending) this.#fail('fault', error instanceof Error ? error.message : String(error));
  }

  #fail(reason: FailureReason, detail?: string): void {
    const state = this.#state === 'connected' && reason !== 'fault' ? 'closed' : 'failed';
    this.#ending = this.#end(state, reason, detail);
  }

  async #end(state: 'failed' | 'closed', reason?: FailureReason, detail?: string): Promise<void> {
    const wasConnected = this.#state === 'connected';
    this.#state = state;
    const pc = this.#pc;
    for (const channel of [...this.#channels.values()]) {
      channel.detach();
      this.#forget(channel);
    }
    this.emit('state', { state, ...(reason ? { reason } : {}), ...(detail ? { detail } : {}) });
    // Closed even if the far end has closed it: only this frees the native callbacks, which keep the event loop alive.
    pc?.close();
    if (pc) await this.#nativeClosed;
    // The abort leaves from a thread of libdatachannel after it has said that it is closed.
    if (wasConnected) await setTimeout(LINGER_MS);
    this.#gate?.close();
    await this.#inner?.close();
    await this.outer.release();
    live.delete(this);
  }

  #forget(channel: Channel): void {
    const { streamId } = channel.spec;
    if (this.#channels.get(streamId) !== channel) return;
    this.#channels.delete(streamId);
    add(this.#past, channel.counters);
    this.#closed.delete(streamId);
    this.#closed.set(streamId, { spec: channel.spec, counters: channel.counters });
    const [oldest] = this.#closed.size > MAX_CLOSED ? this.#closed.keys() : [];
    if (oldest !== undefined) this.#closed.delete(oldest);
    this.emit('stream', { streamId, state: 'closed' });
  }
}

function add(total: ChannelCounters, counters: Readonly<ChannelCounters>): void {
  for (const key of Object.keys(total) as (keyof ChannelCounters)[]) total[key] += counters[key];
}
