import type { Environment } from '../../base/environment.ts';
import type { ProblemDetails } from '../../services/common-data.ts';
import type { MediaInstructionData, SessionEventNotification } from '../../services/nimsas.ts';
import type { MediaContext, PatchItem } from '../../services/nmf-mrm.ts';
import type { ServerKey, SipMessage } from '../../sip/types.ts';
import type { DialogName } from '../b2bua/counterpart.ts';
import type { MediaSnapshot, MediaState } from '../media/types.ts';

/**
 * One call through this AS: plain data, so that it can be stored, restored and compared. `handleCallEvent` is the only
 * writer. The served user is on one leg, everybody else on the other (TS 23.228 AC): `caller` says which one called.
 */
export interface Call {
  readonly schema: 1;
  /** Starts with the route token (R21); part of every tag, branch and Call-ID that we mint for this call. */
  readonly id: string;
  /** Towards the DCSF; says nothing of topology (network-side.md 3.1). */
  readonly sessionId: string;
  readonly sessionCase: SessionCase;
  readonly caller: LegName;
  readonly startedMs: number;
  /** Counts handled events that changed something the MF must hold; part of idempotency keys (R26). */
  revision: number;
  state: CallState;
  readonly legs: Readonly<Record<LegName, Leg>>;
  /** Dialog pairs, one per early dialog of the callee side. Index 0 exists from the start. */
  forks: Fork[];
  /** Where the initial INVITE went; null once a 2xx won. An early dialog that was refused leaves nothing else behind. */
  start: { readonly target: string; readonly route: string; readonly nextHop: string } | null;
  /** Index of the fork whose 2xx won; -1 before. */
  winner: number;
  /** Requests in progress. */
  exchanges: Exchange[];
  /** Our 2xx to an INVITE that waits for its ACK (RFC 3261 13.3.1.4). */
  unacknowledged: Unacknowledged | null;
  negotiation: Negotiation;
  /** Null while the call has had no data channel line: then SDP is not looked into. */
  media: MediaState | null;
  /** While `media` is null: a hash of what each peer said last, but for its o= line. */
  readonly said: Record<LegName, number>;
  /**
   * While `media` is null and `networkInitiated` is on: what the peers said last, and what they agreed on last. Null
   * also in a call whose served user has no data channels.
   */
  plain: PlainMedia | null;
  /** Waiting for the offer/answer slot. At most MAX_INTENTIONS. */
  queue: Intention[];
  /** Epoch ms by name; the edge wakes us. */
  deadlines: Partial<Record<DeadlineName, number>>;
  /** RFC 4028: who refreshes the session, and the least seconds that a peer took; null without a timer. */
  session: { readonly refresher: LegName; readonly minSeconds: number } | null;
  /** Serial of branches, exchanges and notifications. */
  serial: number;
  readonly identities: { readonly calling: string; readonly called: string; readonly chargingId: string };
  /** An emergency call, or one with Resource-Priority: it is repaired before others (R25). */
  readonly priority: boolean;
  /** R23: what is known of the callee; undefined: nothing. */
  calleeSupportsDataChannel: boolean | undefined;
  record: CallRecord;
}

export interface PlainMedia extends PlainExchange {
  readonly agreed: PlainExchange | undefined;
  /** The DCSF knows of the session. */
  readonly told: boolean;
}

/** Two descriptions that nobody looked into. */
export interface PlainExchange {
  readonly offerer: LegName;
  readonly offer: string;
  /** '' while it is due. */
  readonly answer: string;
}

export const MAX_INTENTIONS = 16;
/** Requests in progress at once; above: 503. */
export const MAX_EXCHANGES = 32;

export type LegName = 'served' | 'remote';
export type SessionCase = 'originating' | 'terminating';
export type CallState = 'establishing' | 'established' | 'ending' | 'ended';

export function otherLeg(leg: LegName): LegName {
  return leg === 'served' ? 'remote' : 'served';
}

/** What all dialogs of one leg share. Header values are without their tag. */
export interface Leg {
  readonly callId: string;
  /** Our From value in requests that we send here. */
  readonly localParty: string;
  readonly remoteParty: string;
  /** The header parameters of the Contact that we show here: those of the other side's Contact (R21). */
  contactParams: string;
}

/** Our side of one dialog. */
export interface Dialog {
  readonly localTag: string;
  /** '' until the first response with a tag. */
  remoteTag: string;
  localCseq: number;
  remoteCseq: number;
  /** Request-URI of requests that we send. */
  target: string;
  /** Route header line with CRLF, or ''. */
  route: string;
  /** URI of the next hop: the first route or the target. */
  nextHop: string;
  /** The ACK of the last 2xx, sent again whenever that 2xx comes again. */
  ack: { readonly cseq: number; readonly wire: string } | null;
}

/** One early or confirmed dialog on each leg, tied together. */
export interface Fork {
  readonly index: number;
  state: 'early' | 'confirmed' | 'ended';
  readonly dialogs: Readonly<Record<LegName, Dialog>>;
}

/** A request that came in on `from` and is (to be) passed on, or one of our own (`server` null). */
export interface Exchange {
  readonly id: number;
  readonly method: string;
  /** The leg the request came in on; own requests go out on the other one. */
  readonly from: LegName;
  fork: number;
  readonly server: ServerKey | null;
  /** Via, From, Call-ID and CSeq lines for every response. */
  readonly reply: string;
  /** Record-Route lines for responses that make a dialog. */
  readonly recordRoute: string;
  /** To value of the request. */
  readonly to: string;
  readonly cseqIn: number;
  /** Of our request on the other leg; 0 while held. */
  cseqOut: number;
  branch: string;
  /** Status of the final response already sent back; 0: none. */
  answered: number;
  cancelled: boolean;
  /** The SDP it carries; `late`: it had none, and the 2xx brought the offer. */
  sdp: 'none' | 'offer' | 'answer' | 'late';
  /** Retried once without data lines. */
  retried: boolean;
  readonly purpose: 'relay' | 'reoffer' | 'bye' | 'audit';
  /** Of an offer of ours: how often it has met a 491. */
  readonly attempt?: number;
  /** Of an offer of ours: it takes the re-anchored lines out first (`repair.offer: newLine`). */
  readonly withdraws?: boolean;
  /** The request itself while it may be needed again: held, or to be retried without data lines (R23); else ''. */
  raw: string;
}

export interface Unacknowledged {
  readonly server: ServerKey;
  readonly leg: LegName;
  readonly fork: number;
  readonly cseq: number;
  readonly wire: string;
  /** The 2xx was our own (R19): its ACK ends here. */
  readonly own: boolean;
  intervalMs: number;
  readonly giveUpMs: number;
}

/** An offer whose passing on waits; its message stands in `Exchange.raw`. */
export interface Held {
  readonly exchange: number;
  readonly from: LegName;
  readonly fork: number;
  /** mediaIds the DCSF is asked about. */
  readonly asked: readonly string[];
  /** The offer changes something else too, so refusing the data channels is no reason for a 488. */
  readonly otherChanges: boolean;
  readonly sinceMs: number;
}

/** The offer/answer slot of the session, and in it the barrier (network-side.md 2.0), as data. */
export type Negotiation =
  | { readonly step: 'stable' }
  /** Asked the DCSF; instructions arrive in this state. */
  | {
      readonly step: 'heldForDcsf';
      readonly held: Held;
      readonly notifyId: string;
      readonly deadlineMs: number;
      readonly rollback: MediaSnapshot;
    }
  /** An instruction, or a new association, waits for the MF. */
  | {
      readonly step: 'heldForMf';
      readonly held: Held;
      /** '' when the DCSF has answered already and only the MF is missing. */
      readonly notifyId: string;
      /** '' when it is not an instruction that waits. */
      readonly instructionId: string;
      readonly deadlineMs: number;
      readonly rollback: MediaSnapshot;
      /** The lines as they were before the instruction. */
      readonly before: MediaSnapshot;
      /** mediaIds that the instruction names. */
      readonly named: readonly string[];
    }
  | {
      readonly step: 'awaitingAnswer';
      readonly exchange: number;
      readonly from: LegName;
      readonly rollback: MediaSnapshot;
    }
  /** A free-standing instruction waits for the MF. */
  | { readonly step: 'instructed'; readonly instructionId: string; readonly before: MediaSnapshot }
  /** Another MF is asked for what the lost one held (R25). */
  | { readonly step: 'repairing' };

export type Intention =
  | { readonly kind: 'instruction'; readonly id: string; readonly data: MediaInstructionData }
  /** Ask about the data channels of the last offer of `leg`, which came in a 2xx (R18). */
  | { readonly kind: 'deferred'; readonly leg: LegName }
  /** Offer again on `leg`, because its lines changed: data lines withdrawn, added or moved. */
  | { readonly kind: 'reoffer'; readonly leg: LegName; readonly attempt?: number; readonly withdraws?: boolean }
  /** The MF has lost the context and it is this call's turn to look for another (R25). */
  | { readonly kind: 'repair' };

export const DEADLINES = ['barrier', 'retransmit', 'session', 'ring', 'glare', 'linger', 'repair', 'rest'] as const;
export type DeadlineName = (typeof DEADLINES)[number];

export interface CallRecord {
  answeredMs: number;
  endedMs: number;
  /** Final status or reason. */
  outcome: string;
  /** ms a request was held for DC1 and DC2, the longest of the call. */
  heldMs: number;
  ringingMs: number;
  /** What was refused or dropped, with the reason: goes to the log line of the call. */
  notes: string[];
  dataChannelLines: number;
}

/** Notes kept of one call. */
export const MAX_NOTES = 24;

export type Outcome<T = undefined> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly status: number; readonly detail: string };

export interface MrmReply {
  /** Absent after 204. */
  readonly context?: MediaContext;
  /** The MF that took the POST. */
  readonly mf: string;
}

export type CallEvent =
  | {
      readonly from: 'sip';
      readonly kind: 'request';
      readonly leg: LegName;
      readonly key: ServerKey;
      readonly message: SipMessage;
    }
  | { readonly from: 'sip'; readonly kind: 'ack'; readonly leg: LegName; readonly message: SipMessage }
  | { readonly from: 'sip'; readonly kind: 'cancel'; readonly key: ServerKey; readonly message: SipMessage }
  | { readonly from: 'sip'; readonly kind: 'response'; readonly branch: string; readonly message: SipMessage }
  | {
      readonly from: 'sip';
      readonly kind: 'clientFailed';
      readonly branch: string;
      readonly reason: 'timeout' | 'transport' | 'overload';
    }
  | { readonly from: 'sip'; readonly kind: 'serverFailed'; readonly key: ServerKey }
  | { readonly from: 'dcsf'; readonly kind: 'instruction'; readonly id: string; readonly data: MediaInstructionData }
  | { readonly from: 'dcsf'; readonly kind: 'notified'; readonly id: string; readonly outcome: Outcome }
  | { readonly from: 'mf'; readonly kind: 'reply'; readonly id: string; readonly outcome: Outcome<MrmReply> }
  | { readonly from: 'mf'; readonly kind: 'lost'; readonly contextId: string; readonly reason: string }
  | { readonly from: 'mf'; readonly kind: 'serverClosed'; readonly contextId: string; readonly mediaId: string }
  | { readonly from: 'timer'; readonly name: DeadlineName }
  | { readonly from: 'operator'; readonly command: 'release' }
  /** The record was found by a restarted process (design 7). */
  | { readonly from: 'store'; readonly kind: 'restored' };

export type MrmOperation =
  | { readonly method: 'POST'; readonly context: MediaContext; readonly idempotencyKey: string }
  | {
      readonly method: 'PATCH';
      readonly mf: string;
      readonly contextId: string;
      readonly patch: readonly PatchItem[];
      readonly idempotencyKey: string;
    }
  | { readonly method: 'DELETE'; readonly mf: string; readonly contextId: string };

export type InstructionResult =
  | { readonly ok: true; readonly data: MediaInstructionData | undefined }
  | { readonly ok: false; readonly problem: ProblemDetails };

export type CallEffect =
  | { readonly kind: 'respond'; readonly key: ServerKey; readonly status: number; readonly wire: string }
  | {
      readonly kind: 'request';
      readonly branch: string;
      readonly method: string;
      readonly wire: string;
      readonly nextHop: string;
    }
  /** Without a transaction: the ACK of a 2xx. */
  | { readonly kind: 'transmit'; readonly wire: string; readonly nextHop: string }
  | { readonly kind: 'cancel'; readonly branch: string; readonly headers: string }
  | { readonly kind: 'arm'; readonly name: DeadlineName; readonly atMs: number }
  | {
      readonly kind: 'notify';
      readonly id: string;
      readonly notification: SessionEventNotification;
      readonly deadlineMs: number;
    }
  | { readonly kind: 'answerInstruction'; readonly id: string; readonly result: InstructionResult }
  | { readonly kind: 'mrm'; readonly id: string; readonly operation: MrmOperation; readonly deadlineMs: number }
  /** What became of the lines of a lost context: for the counters. */
  | { readonly kind: 'repaired'; readonly outcome: 'reanchored' | 'givenUp' }
  /** The call may be forgotten; nothing of it is left anywhere. */
  | { readonly kind: 'ended'; readonly record: CallRecord };

/** How we show ourselves towards a next hop. */
export interface LocalAddress {
  /** `SIP/2.0/UDP 192.0.2.1:5060`, the start of our Via. */
  readonly via: string;
  /** `192.0.2.1:5060`, with `;transport=tcp` where it must be said: the host part of our Contact. */
  readonly contact: string;
}

export interface CallEnvironment extends Environment {
  readonly config: CallConfig;
  local(nextHop: string): LocalAddress;
  /** Epoch ms at which this call may ask for another MF: repairs are paced, priority calls do not wait (R25). */
  repairSlotMs(priority: boolean): number;
  /** A dialog of ours, by what the other side calls it; its counterpart on the other leg (R21). */
  counterpart(name: DialogName): DialogName | undefined;
}

/** The part of the configuration that the pure rooms see. */
export interface CallConfig {
  readonly dcsfBudgetMs: number;
  /** An instruction must leave this much of the budget (R17). */
  readonly budgetReserveMs: number;
  readonly mrmDeadlineMs: number;
  readonly ringLimitMs: number;
  readonly t1Ms: number;
  readonly t2Ms: number;
  readonly setupWithoutIce: 'active' | 'passive';
  readonly setupWithIce: 'active' | 'passive';
  /** What we offer has ICE-lite lines (ue-side.md 3). */
  readonly iceInOffers: boolean;
  readonly maxMessageSizeBytes: number;
  readonly bootstrapBandwidthKbps: number;
  /** Header names (lower case) never passed on. */
  readonly stripHeaders: ReadonlySet<string>;
  /** Where the MF posts its events (R25); '' when we do not listen. */
  readonly mediaEventUri: string;
  /** The MF reports what each channel carried (R31). */
  readonly channelUsage: boolean;
  readonly acceptSha1: boolean;
  /** Serve and announce `g.3gpp.dc-mux` (26.114 6.2.10.1). */
  readonly multiplexing: boolean;
  /** Calls without data channels may get them from the network: their SDP is kept, and the DCSF told of them. */
  readonly networkInitiated: boolean;
  readonly mfProxyNames: 'rel19' | 'alpha';
  readonly repair: {
    /** So long after the loss of a context another MF is looked for; 0: not at all, its lines go to port 0. */
    readonly limitMs: number;
    /** How a peer hears of the new end: in its line, or first port 0 there and then a new line. */
    readonly offer: 'inPlace' | 'newLine';
  };
}
