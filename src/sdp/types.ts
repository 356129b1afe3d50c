import type { Fingerprint } from '../dtls/fingerprint.ts';
import type { SetupValue } from '../dtls/role.ts';

export type { Fingerprint, SetupValue };

/**
 * A session description that keeps its lines: what we do not change leaves byte for byte as it came (R7).
 * Lines are stored without their line end; `write` uses the line end that was read.
 */
export interface SessionDescription {
  /** v=, o=, s= ... up to the first m=. */
  readonly session: SdpLines;
  readonly media: readonly MediaSection[];
  readonly eol: '\r\n' | '\n';
  /** What follows the last line. Absent: one `eol`. A text that ended without one, or with blank lines, keeps that. */
  readonly end?: string;
}

export type SdpLines = readonly string[];

/** One m-section. Index in `SessionDescription.media` == slot of that leg (RFC 3264 8): never moves. */
export interface MediaSection {
  /** The m= line first, then everything up to the next m=. */
  readonly lines: SdpLines;
  /** 'audio', 'application', ... */
  readonly media: string;
  readonly port: number;
  readonly protocol: string;
  readonly formats: readonly string[];
}

/** One a=dcmap line with its a=dcsa lines (RFC 8864 5). */
export interface DataChannelStream {
  /** 0..65534 */
  readonly streamId: number;
  readonly label: string;
  readonly subprotocol: string;
  readonly ordered: boolean;
  /** At most one of the two; neither = reliable. */
  readonly maxRetransmissions?: number;
  readonly maxTimeMs?: number;
  /** Default 256. */
  readonly priority: number;
  /** Attribute texts of the a=dcsa lines of this stream, verbatim. */
  readonly dcsa: readonly string[];
  /** The a=dcmap value as it was read, repeated when written: unknown options pass. Leave it out of a changed stream. */
  readonly verbatim?: string;
}

export interface RequestedApplication {
  readonly applicationId: string;
  readonly plmnId?: string;
  readonly channels: readonly { readonly streamId: number; readonly endpoint: 'UE' | 'SERVER' }[];
  /** How it was bound: the attribute, or the label form of deployed handsets (ue-side.md 2.4). */
  readonly boundBy: 'attribute' | 'label';
}

/** One property of a=3gpp-qos-hint (TS 26.114 6.2.7.4.2): 'loss' in percent, 'latency' in ms, or a token. */
export interface QosHint {
  readonly property: string;
  readonly value?: string;
  /** Shares of the end-to-end value, such as { method: 'local', value: '30' }. */
  readonly splits: readonly { readonly method: string; readonly value: string }[];
}

/** A data channel m-section, read (TS 26.114 6.2.10). */
export interface DataChannelMedia {
  readonly address: string;
  readonly port: number;
  readonly sctpPort: number;
  /** Bytes. Absent in SDP = 65,536; 0 = unlimited (RFC 8841 6). */
  readonly maxMessageSizeBytes: number;
  readonly setup: SetupValue;
  /** The set with the most preferred hash (RFC 8122 5). Never empty. */
  readonly fingerprints: readonly Fingerprint[];
  readonly tlsId?: string;
  readonly streams: readonly DataChannelStream[];
  /** Sender-relative use of the remote bootstrap channels (R8). */
  readonly bootstrapUsedBy?: 'sender' | 'receiver';
  readonly applications: readonly RequestedApplication[];
  /** Values of the a=3gpp-req-app lines, to be passed on verbatim. */
  readonly applicationLines: readonly string[];
  /** `text` is passed on verbatim; `hints` is what could be read of it. */
  readonly qosHint?: { readonly text: string; readonly hints: readonly QosHint[] };
  /** b=AS, kbit/s, receive direction, with all overhead (TS 26.114 6.2.7.2). */
  readonly bandwidthKbps?: number;
  /** a=mid, repeated in an answer (RFC 5888 9.1). */
  readonly mid?: string;
  /** Present only if the section or session carries ICE. */
  readonly ice?: { readonly ufrag: string; readonly pwd: string; readonly lite: boolean };
  /** What was dropped while reading, one precise sentence each (ue-side.md 9): for the log and Warning. */
  readonly notes: readonly string[];
}

/** Why a data channel section must be answered with port 0 (ue-side.md 9). */
export interface MediaRejection {
  readonly code: 'PROTOCOL' | 'FORMAT' | 'SCTP_PORT' | 'FINGERPRINT' | 'SETUP' | 'NO_STREAMS' | 'ADDRESS' | 'PORT_ZERO';
  readonly detail: string;
}
