import type { PlainAssociation } from './association.ts';
import type { MessageKind } from './channel.ts';

/** libdatachannel is compiled for 1,024 streams; ids above throw. */
export const MAX_STREAM_ID = 1023;
export const MAX_MESSAGE_BYTES = 262_144;
/** libdatachannel always listens on it. */
export const LOCAL_SCTP_PORT = 5000;
/** `send` takes nothing more above it; `writable` follows at half. */
export const HIGH_MARK_BYTES = 1 << 20;

export interface Certificate {
  readonly certificatePem: string;
  readonly keyPem: string;
}

export interface ReserveRequest {
  readonly bindAddress: string;
  /** 0 takes any. */
  readonly port: number;
  /** Make ICE-lite credentials for the answer. */
  readonly ice?: boolean;
  readonly certificate: Certificate;
  /** R20: another association on the same port, told apart by the address of the far end. */
  readonly sharedWith?: PlainAssociation;
  /** Above it `send` is false. Default HIGH_MARK_BYTES. */
  readonly highMarkBytes?: number;
  readonly mtuBytes?: number;
}

export interface FarEnd {
  readonly address: string;
  readonly port: number;
  readonly sctpPort: number;
  /** `sha-256 AA:BB:..` as in SDP. */
  readonly fingerprints: readonly string[];
  /** Our DTLS role. */
  readonly role: 'active' | 'passive';
  /** What the far end takes; 0 = no limit. */
  readonly maxMessageSizeBytes: number;
  /** The far end does ICE: it is where its checks come from. */
  readonly ice?: boolean;
  /** Another source than the SDP's may prove itself by its certificate (R10). */
  readonly natLatch?: boolean;
  /** When passive, send one STUN indication to open the gate in front of the far end. */
  readonly pinhole?: boolean;
}

export type PlainState = 'reserved' | 'connecting' | 'connected' | 'failed' | 'closed';
export type FailureReason = 'fingerprintMismatch' | 'handshakeFailed' | 'peerClosed' | 'peerGone' | 'fault';

export interface PlainEvents {
  /** After `failed` and `closed` nothing follows. `reason` is absent when `close` was called here. */
  state: { readonly state: PlainState; readonly reason?: FailureReason; readonly detail?: string };
  stream: { readonly streamId: number; readonly state: 'open' | 'closed' };
  message: { readonly streamId: number; readonly data: Buffer; readonly kind: MessageKind };
  /** The stream's buffer fell to half its mark. */
  writable: { readonly streamId: number };
}
