import type { SetupValue } from '../../dtls/role.ts';
import type { OfferAnswer } from '../../sdp/offer-answer.ts';
import type { SentDescription } from '../../sdp/origin.ts';
import type { Slot } from '../../sdp/slots.ts';
import type { AppBindingInfo, DcStream, Mdc2Target, MediaProxy } from '../../services/common-data.ts';
import type { MediaInstruction } from '../../services/nimsas.ts';
import type { MediaContext } from '../../services/nmf-mrm.ts';
import type { LegName } from '../call/types.ts';

/** All that the call knows of its media lines. Exists from the first data channel line on; plain data. */
export interface MediaState {
  /** The leg whose dialogs do not fork; on the other one `LineEnd.peers` is indexed by fork. */
  readonly caller: LegName;
  nextSerial: number;
  lines: MediaLine[];
  /** mediaId by slot: index == m-line index on that leg and never moves (RFC 3264 8, R8). */
  slots: Record<LegName, readonly Slot[]>;
  /** The peer there announced `g.3gpp.dc-mux`: streams of one line may have several far ends (23.228 Annex AC). */
  readonly multiplexing: Record<LegName, boolean>;
  /** By fork: the offer/answer of each leg, and what we sent there last (R7). */
  sdp: Record<LegName, LegSdp>[];
  readonly context: ContextState;
}

/** What an offer may change and a refusal restores. Serials and MF state are never rolled back. */
export type MediaSnapshot = Pick<MediaState, 'lines' | 'slots'>;

/** Data channel lines of one call, closed ones included; above, new ones are refused. */
export const MAX_DATA_CHANNEL_LINES = 32;

/** `MediaLine.proposed` and `.withheld` outside the barrier, once for all lines. */
export const NO_STREAMS: Record<string, never> = Object.freeze({});
export const NO_IDS: readonly string[] = Object.freeze([]);

export interface LegSdp {
  offerAnswer: OfferAnswer;
  /** Last SDP that we sent there, and its o=. */
  sent: SentDescription | null;
}

/**
 * What becomes of a line (R1, network-side.md 3.2):
 * - `pass`: travels between the legs as it is: audio, and channels that are not anchored;
 * - `terminate`: ends at our MF, answered here;
 * - `originate`: born here towards one leg;
 * - `relay`: DTLS ends at our MF on both legs (e2DCe);
 * - `flow`: datagrams through our MF (e2e, R10);
 * - `refused`: port 0 on the leg it came from, unknown to the other (R9);
 * - `undecided`: the DCSF has not said yet.
 */
export type Treatment = 'undecided' | 'pass' | 'terminate' | 'originate' | 'relay' | 'flow' | 'refused';

export interface MediaLine {
  /** `m<serial>`, or `d-<uuid>` when born at the DCSF (R8). */
  readonly id: string;
  /** Of its m= line: 'audio', 'application', ... */
  readonly media: string;
  readonly dataChannel: boolean;
  /** The leg whose peer offered it; for lines of the DCSF the leg it is added towards. */
  readonly born: LegName;
  /** Slot per leg; -1: none. */
  readonly slots: Record<LegName, number>;
  treatment: Treatment;
  /** `closing`: offered with port 0, still held until the answer. */
  state: 'open' | 'closing' | 'closed';
  /** Streams kept (an instruction may drop some), as DC1 and DC2 write them. */
  streams: Record<string, DcStream>;
  /** Streams of the open offer that nobody has decided on yet; none outside the barrier. */
  proposed: Record<string, DcStream>;
  /** Streams that the DCSF does not let on to a line that passes: their dcmap does not travel. */
  withheld: readonly string[];
  /** Multiplexing: the line whose association holds these streams on the leg they were born on; '': none but itself. */
  readonly carriedBy: string;
  spec: InstructionSpec | null;
  readonly ends: Record<LegName, LineEnd | null>;
  /** The MF could not do what was asked of it: refused when the barrier opens. */
  failed: boolean;
  /** Why it is closing, where the peers did not ask for it (R31): by an instruction, or because the MF lost it. */
  closedBy?: 'instruction' | 'mf';
}

/** What an instruction says beyond the treatment. */
export interface InstructionSpec {
  readonly proxy: MediaProxy | undefined;
  readonly replaceHttpUrls: NonNullable<MediaInstruction['dcMediaSpecification']>['replaceHttpUrls'];
  readonly mdc1: NonNullable<MediaInstruction['dcMediaSpecification']>['mdc1EndpointDcsf'];
  readonly mdc2: NonNullable<MediaInstruction['dcMediaSpecification']>['mdc2EndpointDcAs'];
  readonly mdc2Protocol: string | undefined;
  readonly mdc2Target: Mdc2Target | undefined;
  /** Bindings of a line that is born at the DCSF; offered lines carry their own. */
  readonly applications: readonly AppBindingInfo[] | undefined;
}

/** Our MF's end of a line on one leg. */
export interface LineEnd {
  local: LocalEnd | null;
  /** What a=setup says there while no peer has settled it: 'actpass' in our offers. */
  setup: 'active' | 'passive' | 'actpass';
  /** By fork; index 0 alone where the leg has no forks. */
  peers: PeerState[];
  /**
   * The peer began a new association (R12): the MF must give new local values; `asked` once it was told so. `lost`: the
   * MF lost this end, and the next one to be asked gives another (R25).
   */
  renewal: 'none' | 'wanted' | 'asked' | 'lost';
  /** What we offer has ICE: the peer did ICE before its end was lost, or the configuration says so (ue-side.md 3). */
  ice?: boolean;
  /** The early dialog for which the MF gave `local`: the others share its port (R20). Absent: the first. */
  firstFork?: number;
  /** What the line said, between the offer with port 0 and the new line (`repair.offer: newLine`). */
  again?: readonly string[];
  /** What its peer offered in a 2xx, and was answered with port 0: its words, until it hears of our end (R18). */
  offered?: readonly string[];
  /** Several media entries of the MF have it, which find each other by its address (R3). */
  shared: boolean;
}

/** What the MF gave. */
export interface LocalEnd {
  readonly address: string;
  readonly port: number;
  readonly sctpPort: number;
  /** 'SHA-256 AA:..'; empty for datagram flows. */
  readonly fingerprints: readonly string[];
  readonly tlsId: string;
  readonly iceUfrag?: string;
  readonly icePwd?: string;
  readonly maxMessageSizeBytes: number;
}

export type PeerState = 'unknown' | 'refused' | Peer;

/** The far end of an association, as its SDP says. */
export interface Peer {
  readonly address: string;
  readonly port: number;
  readonly sctpPort: number;
  readonly fingerprints: readonly string[];
  readonly tlsId?: string;
  readonly setup: SetupValue;
  readonly maxMessageSizeBytes: number;
  readonly ice: boolean;
  /** It sends no checks. */
  readonly iceLite?: boolean;
  /** The MF's role, once both sides have spoken. */
  localRole?: 'active' | 'passive';
  /** The SDP that lets the association start has gone out (R5): the MF may know the address. */
  started: boolean;
}

/** The MRM context of the call and what the MF was told, for the next difference (R26). */
export interface ContextState {
  contextId: string;
  mf: string;
  /**
   * What the MF acknowledged. Null while it is what the lines say (a call at rest), and while the MF holds nothing: then
   * `contextId` is '' too. It shares `streams` and `spec` with the lines, which replace them and never change them.
   */
  told: MediaContext | null;
  /** Terminations and their medias in the order the MF keeps them, by its own names. */
  layout: { terminationId: string; ours: string; medias: string[] }[];
  /** The request under way: its id, and what the MF holds once it is acknowledged. */
  pending: {
    id: string;
    method: 'POST' | 'PATCH';
    desired: MediaContext;
    layout: { terminationId: string; ours: string; medias: string[] }[];
    /** A PATCH without an answer is sent again under the same key: only then is it known what the MF holds. */
    isRepeated: boolean;
  } | null;
  step: number;
  /** Something that the MF must know has changed. */
  dirty: boolean;
  /** Set while no MF holds what the lines need, because the one that did has lost it (R25). */
  lost: {
    /** Epoch ms: another MF is looked for until then. Null: none has been asked yet. */
    readonly untilMs: number | null;
  } | null;
  /** Repairs of late: a context that is lost again and again is given up. */
  repairs: { count: number; lastMs: number };
}
