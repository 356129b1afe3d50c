import type { Fingerprint } from '../../dtls/fingerprint.ts';
import type { SecuritySetup } from '../../services/common-data.ts';
import type { DcMedia } from '../../services/nmf-mrm.ts';
import type { StreamSpec } from '../engine/types.ts';

/** What a MediaContext asks for, in the MF's own terms. Pure data; the planner compares it with what is held. */
export interface Desired {
  readonly associations: ReadonlyMap<string, DesiredAssociation>;
  readonly flows: ReadonlyMap<string, DesiredFlow>;
}

export interface DesiredAssociation {
  /** Stays the same while any of its media entries stays. */
  readonly id: string;
  /** `terminationId/mediaId` of each media entry that it carries (R3: one per far end). */
  readonly entries: readonly string[];
  /** Present once both remoteMbEndpoint and remoteDcEndpoint are known: then it starts (R5). */
  readonly remote: Remote | undefined;
  /** What of it is known while the address is withheld: enough to judge R12. */
  readonly remoteDc: RemoteDc | undefined;
  /** The peer's a=setup. */
  readonly peerSetup: SecuritySetup | undefined;
  /** The role we are told to take or to offer (R4). */
  readonly localSetup: SecuritySetup | undefined;
  /** The tls-id the consumer wants us to have. */
  readonly tlsId: string | undefined;
  readonly ice: boolean;
  /** Application streams may join it later, whatever it carries now (R13). */
  readonly multiplexing: boolean;
  /** Lowest id first. */
  readonly streams: readonly DesiredStream[];
  /** What the peer takes in one message; 0: unlimited. */
  readonly peerMaxMessageSizeBytes: number;
  /** What the far ends of its relays take: we advertise no more (R11). */
  readonly relayedMaxMessageSizeBytes: number | undefined;
  /** R20: a forked branch uses the port of this association. */
  readonly sharesPortOf: string | undefined;
  readonly eventUri: string | undefined;
  /** The consumer wants the figures of what ends (R31). */
  readonly usage: boolean;
  /** Towards a DC AS, for this entry: it has no entries of its own. */
  readonly mdc2Of: string | undefined;
  /** JSON pointer of its first media entry, for errors. */
  readonly pointer: string;
}

export interface Remote extends RemoteDc {
  readonly address: string;
  readonly port: number;
}

export interface RemoteDc {
  readonly sctpPort: number;
  /** Those with the most preferred hash (RFC 8122 5.1). */
  readonly fingerprints: readonly Fingerprint[];
  readonly tlsId: string | undefined;
}

/** A channel that ends at a DC AS, over MDC2. */
export interface Mdc2Sink {
  readonly kind: 'mdc2';
  /** ws: or wss:; says SNI, Host and path. */
  readonly url: string;
  /** Where we connect. */
  readonly address: string;
  readonly port: number;
  readonly ticket: string | undefined;
  /** Which end of which line this is, for the DC AS. */
  readonly terminationId: string;
  readonly mediaId: string;
  readonly label: string;
  readonly subprotocol: string;
}

export type Sink =
  | Mdc2Sink
  | { readonly kind: 'http'; readonly replaceHttpUrl: string; readonly address: string; readonly port: number }
  | { readonly kind: 'relay'; readonly association: string }
  | { readonly kind: 'discard' };

export interface DesiredStream extends StreamSpec {
  readonly sink: Sink;
}

/** e2e datagrams between two terminations (R10), or between one (`a`) and a DC AS (`b`). */
export interface DesiredFlow {
  readonly id: string;
  readonly ice: boolean;
  readonly a: FlowEnd;
  readonly b: FlowEnd;
  readonly pointer: string;
}
export interface FlowEnd {
  /** More than one: branches of a forked leg on one port (R20). None: a DC AS. */
  readonly entries: readonly string[];
  /** Of the newest branch that is known: datagrams have one way each. */
  readonly remote: { readonly address: string; readonly port: number } | undefined;
  readonly eventUri: string | undefined;
  readonly usage: boolean;
}

/** Members that mean the peer's value in a request and ours in a response. */
export interface RequestedValues {
  readonly securitySetup: SecuritySetup | undefined;
  readonly maxMessageSize: number | undefined;
  readonly maxMessageSizeBytes: number | undefined;
}

export interface ReadContext {
  /** What the consumer last asked for in the members that our response overwrites. */
  requested(entry: string, dcMedia: DcMedia): RequestedValues;
  /** The association that holds an entry already. */
  associationOf(entry: string): string | undefined;
  readonly mdc2: Mdc2Rules;
}

/** How this MF talks to DC ASs. */
export interface Mdc2Rules {
  /** Values of mdc2Protocol that are served. */
  readonly protocols: ReadonlySet<string>;
  /** `TCP` (no TLS) to addresses off loopback. */
  readonly allowPlain: boolean;
}

export const entryId = (terminationId: string, mediaId: string) => `${terminationId}/${mediaId}`;

/** What a request says itself: for a POST. */
export function requestedValues(dcMedia: DcMedia): RequestedValues {
  return {
    securitySetup: dcMedia.securitySetup,
    maxMessageSize: dcMedia.maxMessageSize,
    maxMessageSizeBytes: dcMedia.imsdc?.maxMessageSizeBytes,
  };
}
