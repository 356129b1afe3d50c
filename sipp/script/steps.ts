/** What one end of a pair does, in order. `xml.ts` writes it as SIPp reads it. */
export type Step = Send | Receive | Pause | Label | Linger | Execute;

export interface Send {
  readonly kind: 'send';
  /** The whole message, lines without indentation; a body is separated by an empty line. */
  readonly message: string;
  /** Repeated by SIPp every 500 ms, doubling, until something comes (RFC 3261 17.1). */
  readonly repeated?: boolean;
  /** Name by which a later message takes over its branch: CANCEL, ACK of a failure, the same request once more. */
  readonly name?: string;
  readonly branchOf?: string;
  /** The message is lost on its way: SIPp counts it as sent. */
  readonly lost?: boolean;
  readonly startsTimer?: boolean;
}

export interface Receive {
  readonly kind: 'receive';
  /** A status, or a method. */
  readonly what: number | string;
  readonly checks: readonly Check[];
  /** May be missing. */
  readonly optional?: boolean;
  /** Takes Contact and Record-Route for the requests that follow. */
  readonly target?: boolean;
  readonly stopsTimer?: boolean;
  /** Percent of these that are ignored as if they had been lost. */
  readonly lostPercent?: number;
  /** Where to go on, when the variable of that name is set (or always, without a name). */
  readonly jump?: { readonly to: string; readonly when?: string };
}

export interface Pause {
  readonly kind: 'pause';
  readonly milliseconds: number;
}

export interface Label {
  readonly kind: 'label';
  readonly id: string;
}

/** At the end: what comes once more is answered once more (RFC 3261 17, timers D, J and their like). */
export interface Linger {
  readonly kind: 'linger';
  readonly milliseconds: number;
}

/** A command of the machine, beside the call: what a DC AS or the operator does. `[dc4]` is how DC4 is spoken to. */
export interface Execute {
  readonly kind: 'execute';
  readonly command: string;
}

/** One regular expression (POSIX extended) over the body or over one header line. */
export interface Check {
  /** `body`, or a header with its colon. */
  readonly in: string;
  readonly pattern: string;
  /**
   * `save` only keeps what was found, for `[$name]` in later messages; `same` and `differs` compare it with what
   * another check has kept under `former`. `tlsIds` also keeps its groups, as `name1`, `name2`, and must find them.
   */
  readonly mode: 'matches' | 'lacks' | 'save' | 'same' | 'differs' | 'tlsIds';
  /** For `save`, `tlsIds` and jumps. */
  readonly name?: string;
  readonly former?: string;
  /** Only what stands in the first parentheses of the pattern is kept or compared. */
  readonly part?: boolean;
  /** Variables whose values, with those of the groups, must all differ. */
  readonly unlike?: readonly string[];
}

/** A call script of two ends: the S-CSCF with the served user behind it, and the next hop. */
export interface Pair {
  readonly name: string;
  /** One sentence: what it shows. */
  readonly shows: string;
  /** Clause, and what of it the pair proves. */
  readonly conformance: readonly (readonly [clause: string, what: string])[];
  readonly uac: readonly Step[];
  /** Absent: nothing may reach the next hop. */
  readonly uas?: readonly Step[];
  readonly run?: PairRun;
}

export type Accident =
  /** `imsdc dcsf` ends by kill -9 and is started again, in the core of the other pairs, when they are done. */
  | { readonly kind: 'asRestarted' }
  /** The MF that holds every call ends by kill -9, or falls silent, in a core of this pair alone. */
  | { readonly kind: 'mfLost'; readonly mf: LostMf };

export interface LostMf {
  /** Another one is there for the lines. */
  readonly spare: boolean;
  /** It is not killed: it answers nothing any more (kill -STOP), as if it was cut off. */
  readonly silent?: true;
  /** imsAs.mf.repair.offer */
  readonly offer?: 'inPlace' | 'newLine';
}

/** How the pair has to be run, where that is not the usual way. */
export interface PairRun {
  readonly transport?: 'udp' | 'tcp';
  /** Over ::1 instead of 127.0.0.1. */
  readonly ipv6?: boolean;
  /** Percent of messages that both ends lose. */
  readonly lossPercent?: number;
  /** SIPp calls that one call makes at the UAS, where the AS sends more than one INVITE. Default 1. */
  readonly uasCalls?: number;
  /** The call may end before it reaches the next hop: only the UAC is judged. */
  readonly uasMayMiss?: boolean;
  /** What happens to the core once every call is up: only with a core of our own. */
  readonly accident?: Accident;
  /** A core of this pair alone, with that for `dcsf.policy.unauthorised`. */
  readonly unauthorised?: 'refuse';
  /** What must be seen in the statistics: nothing is sent twice, something is, or either. Default `none`. */
  readonly retransmissions?: 'none' | 'some' | 'any';
}

export function pause(milliseconds: number): Pause {
  return { kind: 'pause', milliseconds };
}

export function label(id: string): Label {
  return { kind: 'label', id };
}

export function execute(command: string): Execute {
  return { kind: 'execute', command };
}

export function linger(milliseconds: number): Linger {
  return { kind: 'linger', milliseconds };
}
