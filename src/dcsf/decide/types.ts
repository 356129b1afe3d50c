import type { Endpoint, Mdc2Target, MediaProxy } from '../../services/common-data.ts';
import type { Mdc2Ticket } from '../../services/mdc2.ts';
import type { Anchor, CatalogueEntry, Grant, HandsetProfile } from '../../services/ndcar.ts';
import type { MediaInstruction, SessionEventNotification } from '../../services/nimsas.ts';
import type { ReasonCode } from './reasons.ts';

/** What one subscriber may do (24.186 9.3.2.2.1); content is the operator's, ours is this. */
export interface SubscriberProfile {
  /** May use IMS data channels at all. */
  readonly allowed: boolean;
  /** May set up sessions without audio (24.186 9.3.2.2.4). */
  readonly standalone: boolean;
  /** Applications the user subscribed to. */
  readonly applications: '*' | readonly string[];
  /** May be called by applications (A2P). */
  readonly a2p: boolean;
  /** Application channels at once in one session. */
  readonly maxChannels: number;
  readonly handset: HandsetProfile;
}

export interface ApplicationRule {
  readonly allow: boolean;
  /** Absent: the network's rule, then the package's wish, then the default. */
  readonly anchor?: Anchor;
}

export interface NetworkRule {
  /** false: no application channels with users of this network. */
  readonly allow: boolean;
  readonly anchor?: Anchor;
}

/** Where the channels of an application end when they end at a server (23.228 AC.7.2.2). */
export interface ApplicationServer {
  /** UDP_PROXY: DTLS of the UE ends there. */
  readonly proxy: 'DC_APPLICATION_PROXY' | 'UDP_PROXY';
  readonly protocol: 'TCP' | 'TCP/TLS' | 'UDP/DTLS/SCTP';
  /** Where the MF connects; undefined: the DC AS is asked for each line, after the decision. */
  readonly endpoint: Endpoint | undefined;
  /** For the MF besides: the URL of a WebSocket, or who the DC AS is in DTLS. */
  readonly target: Pick<Mdc2Target, 'dcEndpoint' | 'maxMessageSizeBytes' | 'url'>;
  readonly tellIdentities: boolean;
  /** Channels between two UEs end there too, on both legs. */
  readonly between: boolean;
  /** Stands in for a UE without data channels (AC.7.9). */
  readonly interworking: boolean;
  /** A line goes to port 0 when it has closed the last channel of it. */
  readonly endsLines: boolean;
  /** Signs a ticket with the secret that it shares with us; the same claims give the same ticket. */
  seal(claims: Mdc2Ticket): string;
}

/** What the IMS AS at the other end of DC1 understands (R3, R4, network-side.md 3.6). */
export interface DcOnePeer {
  readonly vocabulary: 'rel19' | 'rel18-alpha';
  /** Leave `subprotocol` out: alpha schemas reject "http" (erratum 1). */
  readonly omitSubprotocol: boolean;
  /** Send `imsdcTowards`. */
  readonly vendorExtensions: boolean;
}

export interface Policy {
  /** What happens to a user without authorisation: R9, or 403. */
  readonly unauthorised: 'strip' | 'refuse';
  readonly bootstrap: {
    /** Bootstrap lines in transit: through our MF or past it (R1). */
    readonly transit: 'anchor' | 'pass';
    /** Add the line that the other side needs to reach our repository (R1). */
    readonly offerOwnLine: boolean;
  };
  readonly applications: {
    readonly anchor: Anchor;
    /** Neither configured nor published. */
    readonly unknown: 'reject' | 'pass';
    /** No `3gpp-req-app` and no application label. */
    readonly unbound: 'reject' | 'pass';
    readonly rules: Readonly<Record<string, ApplicationRule>>;
  };
  /** By domain of the peer's public identity. */
  readonly networks: Readonly<Record<string, NetworkRule>>;
  /** By application id. */
  readonly dcAs: Readonly<Record<string, ApplicationServer>>;
  readonly mdc1: {
    /** Where the MF connects. */
    readonly endpoint: Endpoint;
    /** Ends in `/`; the token and a `/` are appended (R27). */
    readonly baseUrl: string;
  };
  readonly tokenLifetimeMs: number;
  /** Media lines remembered per session; more are rejected. */
  readonly maxMediaPerSession: number;
  /** Route token that starts each content token (R21); '' for none. */
  readonly routePrefix: string;
}

export type MediaKind = 'bootstrap' | 'application';
/** What became of a line. `known`: decided before and unchanged. */
export type Outcome =
  | 'terminate'
  | 'relay'
  | 'pass'
  | 'originate'
  | 'update'
  | 'delete'
  | 'reject'
  | 'known'
  | 'ignored';

/** A line the DCSF has decided on and that is not gone yet. */
export interface DecidedMedia {
  readonly kind: MediaKind;
  readonly outcome: 'terminate' | 'relay' | 'pass' | 'originate';
  readonly proxy?: MediaProxy;
  /** Stream ids as offered; another set is a change. */
  readonly offered: readonly number[];
  /** Stream ids we serve or let through. */
  readonly streams: readonly number[];
  readonly tokens: readonly string[];
  /** Multiplexing: the line whose streams these are, when they have a far end of their own. */
  readonly carriedBy?: string;
  /** The application whose DC AS the line ends at. */
  readonly dcAs?: string;
  readonly status: 'pending' | 'established';
  /** What it was before a change that is not agreed yet: it is so again when the offer is refused. */
  readonly former?: Pick<DecidedMedia, 'offered' | 'streams'>;
}

export type SessionCase = 'originating' | 'terminating';
export type LegName = 'served' | 'remote';

/** What the DCSF remembers of a session between events: plain data, stored and restored as it is. */
export interface Session {
  readonly schema: 1;
  readonly sessionId: string;
  readonly sessionCase: SessionCase;
  readonly served: string;
  readonly peer: string;
  /** Grows with each decision; part of the idempotency key. */
  readonly revision: number;
  readonly media: Readonly<Record<string, DecidedMedia>>;
}

/** One outcome with the reason recorded. Every data channel line of a *_REQUEST gets exactly one. */
export interface MediaOutcome {
  readonly mediaId: string;
  readonly outcome: Outcome;
  readonly code: ReasonCode;
  /** For people; names no person. */
  readonly sentence: string;
}

export interface Decision {
  readonly instructions: Readonly<Record<string, MediaInstruction>>;
  readonly outcomes: readonly MediaOutcome[];
  readonly grants: readonly Grant[];
  readonly revoke: readonly string[];
  /** Answer the notification with 403: the AS refuses the SIP request. */
  readonly refusal?: { readonly code: ReasonCode; readonly sentence: string };
  /** null: the session is over. */
  readonly session: Session | null;
}

/** Data that the decision lacks. */
export interface Need {
  readonly kind: 'subscriber';
  readonly identity: string;
}

/** The answer to a need. `unavailable`: the store failed, which is not the same as an unknown user. */
export interface Have {
  readonly kind: 'subscriber';
  readonly identity: string;
  readonly profile: SubscriberProfile | 'unavailable';
}

export interface Question {
  readonly notification: SessionEventNotification;
  readonly session: Session | null;
  readonly policy: Policy;
  readonly peer: DcOnePeer;
  readonly catalogue: ReadonlyMap<string, CatalogueEntry>;
}

export type Step =
  | { readonly step: 'need'; readonly needs: readonly Need[]; readonly question: Question }
  | { readonly step: 'decided'; readonly decision: Decision };
