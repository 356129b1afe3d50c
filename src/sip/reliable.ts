import type { Sink } from '../base/environment.ts';
import { parseRAck, parseRSeq } from './message/index.ts';
import type { TimerValues } from './transaction/timing.ts';
import type { SipMessage } from './types.ts';

/**
 * What must be sent again until the peer acknowledges it: a reliable 1xx until PRACK (RFC 3262 3), a 2xx to INVITE
 * until ACK (RFC 3261 13.3.1.4). Plain data; one timer.
 */
export interface Retransmission {
  readonly wire: string;
  readonly intervalMs: number;
  /** Time sent so far; gives up at 64 * T1. */
  readonly elapsedMs: number;
  /** Ceiling of the interval: T2 for a 2xx, none for a 1xx. */
  readonly ceilingMs: number;
}

export type RetransmissionEffect =
  | { kind: 'transmit'; wire: string }
  | { kind: 'arm'; afterMs: number }
  | { kind: 'disarm' }
  /** Never acknowledged: 504 for a reliable 1xx (RFC 3262 3 says 5xx), BYE after a 2xx. */
  | { kind: 'unacknowledged' };

export type RetransmissionSink = Sink<RetransmissionEffect>;

/** The 2xx has been sent through its transaction; from now on its user repeats it. */
export function repeat2xx(wire: string, timers: TimerValues, out: RetransmissionSink): Retransmission {
  out.emit({ kind: 'arm', afterMs: timers.t1Ms });
  return { wire, intervalMs: timers.t1Ms, elapsedMs: 0, ceilingMs: timers.t2Ms };
}

/** The timer of `state` is due. */
export function repeatDue(
  state: Retransmission,
  timers: TimerValues,
  out: RetransmissionSink,
): Retransmission | undefined {
  const elapsedMs = state.elapsedMs + state.intervalMs;
  const leftMs = 64 * timers.t1Ms - elapsedMs;
  if (leftMs <= 0) {
    out.emit({ kind: 'unacknowledged' });
    return undefined;
  }
  const intervalMs = Math.min(state.intervalMs * 2, state.ceilingMs, leftMs);
  out.emit({ kind: 'transmit', wire: state.wire });
  out.emit({ kind: 'arm', afterMs: intervalMs });
  return { ...state, intervalMs, elapsedMs };
}

/** Reliable 1xx that wait behind the one in flight. More than a caller can tell apart anyway. */
export const MAX_WAITING_PROVISIONALS = 8;

/** The side that sends reliable provisional responses (RFC 3262 3). One is in flight at a time; others wait. */
export interface ReliableServer {
  readonly inviteCSeq: number;
  /** RSeq of the last one made. */
  readonly rseq: number;
  /** RSeq of the one in flight; 0 when there is none. */
  readonly inFlightRSeq: number;
  readonly inFlight: Retransmission | undefined;
  readonly waiting: readonly { readonly rseq: number; readonly wire: string }[];
}

/** `firstRSeq`: 1 .. 2^31-1, random (RFC 3262 3). */
export function reliableServer(inviteCSeq: number, firstRSeq: number): ReliableServer {
  return { inviteCSeq, rseq: firstRSeq - 1, inFlightRSeq: 0, inFlight: undefined, waiting: [] };
}

/**
 * Sends a reliable 1xx: `build` writes it with `RSeq: <rseq>` and `Require: 100rel`. undefined when too many wait
 * already: then send it unreliably.
 */
export function sendReliable(
  state: ReliableServer,
  build: (rseq: number) => string,
  timers: TimerValues,
  out: RetransmissionSink,
): ReliableServer | undefined {
  if (state.waiting.length >= MAX_WAITING_PROVISIONALS) return undefined;
  const rseq = state.rseq + 1;
  const wire = build(rseq);
  if (state.inFlight !== undefined) return { ...state, rseq, waiting: [...state.waiting, { rseq, wire }] };
  return launch({ ...state, rseq }, rseq, wire, timers, out);
}

function launch(
  state: ReliableServer,
  rseq: number,
  wire: string,
  timers: TimerValues,
  out: RetransmissionSink,
): ReliableServer {
  out.emit({ kind: 'transmit', wire });
  out.emit({ kind: 'arm', afterMs: timers.t1Ms });
  const inFlight = { wire, intervalMs: timers.t1Ms, elapsedMs: 0, ceilingMs: Number.MAX_SAFE_INTEGER };
  return { ...state, inFlightRSeq: rseq, inFlight };
}

export function reliableDue(state: ReliableServer, timers: TimerValues, out: RetransmissionSink): ReliableServer {
  if (state.inFlight === undefined) return state;
  const inFlight = repeatDue(state.inFlight, timers, out);
  return inFlight === undefined ? { ...state, inFlight, inFlightRSeq: 0, waiting: [] } : { ...state, inFlight };
}

/** A PRACK: `matched` says 200, otherwise 481 (RFC 3262 3). */
export function receivePrack(
  state: ReliableServer,
  prack: SipMessage,
  timers: TimerValues,
  out: RetransmissionSink,
): { state: ReliableServer; matched: boolean } {
  const rack = parseRAck(prack.first('rack') ?? '');
  const matched =
    rack !== undefined &&
    state.inFlight !== undefined &&
    rack.rseq === state.inFlightRSeq &&
    rack.cseq === state.inviteCSeq &&
    rack.method === 'INVITE';
  if (!matched) return { state, matched };
  out.emit({ kind: 'disarm' });
  const idle: ReliableServer = { ...state, inFlightRSeq: 0, inFlight: undefined };
  const [next, ...waiting] = state.waiting;
  if (next === undefined) return { state: idle, matched };
  return { state: launch({ ...idle, waiting }, next.rseq, next.wire, timers, out), matched };
}

/** The final response ends all of it (RFC 3262 3: a 2xx waits for the PRACK first only when the 1xx carried an offer or answer). */
export function endReliable(state: ReliableServer, out: RetransmissionSink): ReliableServer {
  if (state.inFlight !== undefined) out.emit({ kind: 'disarm' });
  return { ...state, inFlightRSeq: 0, inFlight: undefined, waiting: [] };
}

/** The side that receives them: the last RSeq of each early dialog, by its To tag (RFC 3262 4). */
export type ReliableClient = Readonly<Record<string, number>>;

export type ReliableVerdict =
  /** Not reliable: no RSeq, or no `Require: 100rel`. */
  | { readonly kind: 'unreliable' }
  /** In order: send PRACK with this RAck. */
  | { readonly kind: 'acknowledge'; readonly rack: string }
  /** Seen already, or ahead of one that is missing: drop it, it will come again. */
  | { readonly kind: 'discard' };

export function receiveReliable(
  state: ReliableClient,
  response: SipMessage,
): { state: ReliableClient; verdict: ReliableVerdict } {
  const rseq = parseRSeq(response.first('rseq') ?? '');
  const provisional = response.status > 100 && response.status < 200;
  if (!provisional || rseq === undefined || !response.list('require').some((tag) => tag.toLowerCase() === '100rel')) {
    return { state, verdict: { kind: 'unreliable' } };
  }
  const last = Object.hasOwn(state, response.toTag) ? state[response.toTag] : undefined;
  if (last !== undefined && rseq !== last + 1) return { state, verdict: { kind: 'discard' } };
  const rack = `${rseq} ${response.cseq} ${response.method}`;
  return { state: { ...state, [response.toTag]: rseq }, verdict: { kind: 'acknowledge', rack } };
}
