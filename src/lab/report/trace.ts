/** What happened in a call, in order: the material of the ladder diagrams. */
export type TraceEvent = TraceArrow | TraceNote | TraceStep;

export interface TraceArrow {
  readonly kind: 'arrow';
  readonly atMs: number;
  readonly from: string;
  readonly to: string;
  /** One line: 'INVITE', '200 INVITE', 'GET /applicationlist (stream 0)'. */
  readonly label: string;
  /** A second, smaller line: what of the SDP matters. */
  readonly summary?: string;
  /** The whole message, for the reader who clicks. */
  readonly detail?: string;
  readonly protocol: 'sip' | 'data channel' | 'rtp';
  /** Not in the terminal ladder: 100 Trying and the like. */
  readonly minor?: boolean;
}

/** Something at one party, or between two: 'DTLS and SCTP up, fingerprint verified'. */
export interface TraceNote {
  readonly kind: 'note';
  readonly atMs: number;
  readonly lanes: readonly [string] | readonly [string, string];
  readonly text: string;
}

/** The start of a step of the scenario. */
export interface TraceStep {
  readonly kind: 'step';
  readonly atMs: number;
  readonly text: string;
}

/** A lab runs one call; what is beyond this is not drawn, and the drawing says so. */
const MAX_EVENTS = 2000;

/** Keeps the events of one call. Times are milliseconds since the recorder was made. */
export class TraceRecorder {
  readonly events: TraceEvent[] = [];
  dropped = 0;
  readonly #startedMs: number;

  /** `startedMs` on the scale of `performance.timeOrigin + performance.now()`, which all our processes share. */
  constructor(startedMs: number) {
    this.#startedMs = startedMs;
  }

  since(epochMs: number): number {
    return Math.max(0, epochMs - this.#startedMs);
  }

  add(event: TraceEvent): void {
    if (this.events.length >= MAX_EVENTS) this.dropped++;
    else this.events.push(event);
  }

  /** Events of several processes arrive a little out of order; the diagrams want them by time. */
  sorted(): TraceEvent[] {
    return this.events.toSorted((a, b) => a.atMs - b.atMs);
  }
}
