import type { Sink } from '../../base/environment.ts';

/** RFC 3261 table 4. Between UE and P-CSCF 3GPP uses longer ones (24.229 7.7). */
export interface TimerValues {
  /** Round-trip estimate. */
  readonly t1Ms: number;
  /** Ceiling of retransmission intervals. */
  readonly t2Ms: number;
  /** How long a message may stay in the network. */
  readonly t4Ms: number;
}

export const RFC3261_TIMERS: TimerValues = { t1Ms: 500, t2Ms: 4000, t4Ms: 5000 };
export const UE_ACCESS_TIMERS: TimerValues = { t1Ms: 2000, t2Ms: 16_000, t4Ms: 17_000 };

/** Wait time for response retransmissions in an INVITE client over UDP: "at least 32 s" (RFC 3261 17.1.1.2). */
export const TIMER_D_MS = 32_000;

/** What a machine may know of its surroundings. */
export interface TransactionEnvironment extends TimerValues {
  /** TCP, TLS, WebSocket: nothing is retransmitted and nothing lingers. */
  readonly reliable: boolean;
}

export type TransactionTimer = 'A' | 'B' | 'D' | 'E' | 'F' | 'G' | 'H' | 'I' | 'J' | 'K' | 'L' | 'M';

export type FailureReason = 'timeout' | 'transport';

export type TransactionEffect =
  | { kind: 'transmit'; wire: string }
  | { kind: 'arm'; timer: TransactionTimer; afterMs: number }
  | { kind: 'disarm'; timer: TransactionTimer }
  /** The message of this event is for the user. */
  | { kind: 'pass' }
  | { kind: 'failed'; reason: FailureReason };

export type TransactionSink = Sink<TransactionEffect>;

/** 64 * T1: how long a client waits (B, F), and a server for its ACK (H). */
export function lifetimeMs(env: TimerValues): number {
  return 64 * env.t1Ms;
}
