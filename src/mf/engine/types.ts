import type { TypedEmitter } from '../../base/emitter.ts';

/**
 * The media engine as the MF sees it: keys are the MF's own (one per association or datagram flow), groups are MRM
 * contexts: all terminations of a group live in one worker. No promise outlives its worker: it rejects WORKER_LOST.
 */
export interface MediaEngine extends TypedEmitter<EngineEvents> {
  readonly capabilities: EngineCapabilities;
  /** Binds a port; keeps a bounded first flight (4 datagrams, R5) until `start`. Idempotent by key. */
  reserve(key: string, group: string, options: ReserveOptions): Promise<LocalEndpoint>;
  /** Builds the costly part and, when active, sends ClientHello at once (R5). */
  start(key: string, remote: RemoteEndpoint): Promise<void>;
  /** Address or size of the far end changed; a changed fingerprint needs a new association (R12), not this. */
  update(key: string, change: Partial<RemoteEndpoint>): Promise<void>;
  /** The streams that may be used, whole set. Ids left out are closed by a stream reset. */
  setStreams(key: string, streams: readonly StreamSpec[]): Promise<readonly StreamOutcome[]>;
  /** One direction: what arrives on `from` goes to `to`. */
  route(from: StreamRef, to: RouteSink): Promise<void>;
  /** e2e datagrams (R10): two sockets, what comes in on one goes out of the other. */
  flow(key: string, group: string, options: FlowOptions): Promise<FlowEndpoints>;
  updateFlow(key: string, change: Partial<FlowOptions>): Promise<void>;
  /** Messages of a stream routed to `payload`. `creditBytes` is what the caller will take before it grants more. */
  payload(ref: StreamRef, creditBytes: number): PayloadPort;
  resetStream(ref: StreamRef, reason: string): Promise<void>;
  /** Final figures; idempotent, unknown keys give zeros. */
  release(key: string): Promise<Counters>;
  stats(keys?: readonly string[]): Promise<EngineStats>;
  /** Copies every datagram of one key to the reader, until the returned function is called or the key is gone. */
  trace(key: string, reader: TraceReader): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

export interface EngineCapabilities {
  readonly engine: 'embedded' | 'native';
  readonly maxStreamId: number;
  readonly maxMessageSizeBytes: number;
  readonly ice: boolean;
  readonly receiveBackPressure: boolean;
  readonly datagramPaths: readonly ('user' | 'kernel')[];
  /** Several remote addresses on one port (R20). */
  readonly forking: boolean;
}

export interface ReserveOptions {
  readonly bindAddress: string;
  /** Chosen by the MF (R6), never by the worker. */
  readonly port: number;
  /** Make ICE-lite credentials for the answer. */
  readonly ice: boolean;
  /** R20: another branch on the port of this key, told apart by remote address. Needs the capability `forking`. */
  readonly sharesPortOf?: string;
}

export interface LocalEndpoint {
  readonly address: string;
  readonly port: number;
  readonly sctpPort: number;
  /** 'sha-256 AA:BB..', as in a=fingerprint. */
  readonly fingerprint: string;
  readonly iceUfrag?: string;
  readonly icePwd?: string;
}

export interface RemoteEndpoint {
  readonly address: string;
  readonly port: number;
  readonly sctpPort: number;
  /** 'sha-256 AA:BB..' (the hash in any case); the peer's certificate must match one of them before one SCTP byte is accepted. */
  readonly fingerprints: readonly string[];
  /** Our role. */
  readonly role: 'active' | 'passive';
  readonly maxMessageSizeBytes: number;
  /** Fixed at INIT, both directions (R13). */
  readonly streams: number;
  /** The far end does ICE: its authentic checks say where it is. */
  readonly ice: boolean;
  /** Another source than the SDP's may prove itself by its certificate (R10). Default false. */
  readonly natLatch?: boolean;
  /** When passive, send one datagram to open the gate in front of the far end. Default false. */
  readonly pinhole?: boolean;
}

export interface StreamSpec {
  readonly streamId: number;
  readonly ordered: boolean;
  readonly maxRetransmissions?: number;
  readonly maxTimeMs?: number;
  readonly priority: number;
  readonly label: string;
  readonly subprotocol: string;
}

export interface StreamOutcome {
  readonly streamId: number;
  /** ok, or why not: 'STREAM_ID_TOO_HIGH', 'BUDGET' */
  readonly result: 'ok' | 'STREAM_ID_TOO_HIGH' | 'BUDGET';
}

export interface StreamRef {
  readonly key: string;
  readonly streamId: number;
}

export type RouteSink = { kind: 'stream'; to: StreamRef } | { kind: 'payload' } | { kind: 'discard' };

export interface FlowSide {
  readonly bindAddress: string;
  readonly port: number;
  /** Unknown until the answer. Only this source is forwarded (R10). */
  readonly remote?: { readonly address: string; readonly port: number };
  /** For natLatch: what the certificate of the remote must match. */
  readonly fingerprints?: readonly string[];
}
export interface FlowOptions {
  readonly a: FlowSide;
  readonly b: FlowSide;
  /** Make ICE-lite credentials for both sides (R10: STUN is answered per leg). Default false. */
  readonly ice?: boolean;
  /** Another source than the SDP's may prove itself by its certificate (R10). Default false. */
  readonly natLatch?: boolean;
  /** Default 'auto'. */
  readonly path?: 'auto' | 'user' | 'kernel';
}
export interface FlowEndpoint {
  readonly address: string;
  readonly port: number;
  readonly iceUfrag?: string;
  readonly icePwd?: string;
}
export interface FlowEndpoints {
  readonly a: FlowEndpoint;
  readonly b: FlowEndpoint;
  /** Which one `path: 'auto'` became. */
  readonly path?: 'user' | 'kernel';
}

/** Credit is bytes, both directions. */
export interface PayloadPort {
  /** False: nothing was taken; wait for `onWritable`. It is false until the stream is open. */
  send(message: Uint8Array, kind: 'text' | 'binary'): boolean;
  grant(bytes: number): void;
  /** What came before it is set waits for it. Write-only, as `onClosed`. */
  set onMessage(handler: (message: Uint8Array, kind: 'text' | 'binary') => void);
  onWritable: () => void;
  /** After the last message. `reason`: 'end' (closed by the far end or with its association), 'released', 'workerLost'. */
  set onClosed(handler: (reason: string) => void);
  /** Closes the stream once everything sent before has left. */
  close(): void;
}

export interface Counters {
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly messagesReceived: number;
  readonly messagesSent: number;
  readonly dropped: number;
}

export interface EngineStats {
  readonly workers: readonly { readonly pid: number; readonly associations: number; readonly loopLagMs: number }[];
  readonly associations: readonly KeyStats[];
}

export interface FlowWay {
  readonly path: 'user' | 'kernel';
  /** Why the kernel refuses it at present, in a word. */
  readonly refused?: string;
}

/** Figures of one association or flow. A flow counts datagrams as messages, and its sides as streams 0 (a) and 1 (b). */
export interface KeyStats extends Counters {
  readonly key: string;
  readonly kind: 'association' | 'flow';
  /** Of a flow, where the kernel may forward: which way its datagrams go now, and why the kernel refuses it. */
  readonly way?: FlowWay;
  readonly state: AssociationStateName;
  /** Since the state was entered. */
  readonly stateAgeMs: number;
  /** START to connected, microseconds; 0 before. */
  readonly handshakeUs: number;
  /** Smoothed, of SCTP, microseconds; 0 = unknown. */
  readonly rttUs: number;
  /** Accepted and not yet acknowledged by the peer. */
  readonly bufferedBytes: number;
  /** SCTP chunks; 0 where the engine does not tell them apart by association. */
  readonly retransmissions: number;
  readonly datagramsReceived: number;
  readonly datagramsSent: number;
  /** Wrong source, wrong first octet, not authentic. */
  readonly datagramsIgnored: number;
  readonly streams: readonly ({ readonly streamId: number; readonly bufferedBytes: number } & Counters)[];
}

export interface TraceReader {
  onDatagram(datagram: TracedDatagram): void;
  /** The key is gone, or somebody else reads it now. */
  onEnd(): void;
}

/** One datagram as it was on the wire. */
export interface TracedDatagram {
  readonly sent: boolean;
  /** Microseconds of the epoch. */
  readonly atUs: number;
  readonly local: { readonly address: string; readonly port: number };
  readonly remote: { readonly address: string; readonly port: number };
  readonly datagram: Uint8Array;
}

export type AssociationStateName = 'reserved' | 'connecting' | 'connected' | 'failed' | 'closed';
export interface EngineEvents {
  /** `reason`: a code of WORKER_ERRORS (docs/media-worker.md), e.g. FINGERPRINT_MISMATCH, PEER_GONE. */
  state: { readonly key: string; readonly state: AssociationStateName; readonly reason?: string };
  stream: {
    readonly key: string;
    readonly streamId: number;
    readonly state: 'open' | 'closed';
    readonly reason?: string;
  };
  /** The worker of these keys is gone; they are unknown from now on. */
  lost: { readonly keys: readonly string[]; readonly reason: 'workerExit' | 'workerHung' };
}
