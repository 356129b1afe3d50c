import {
  type FailureReason,
  lifetimeMs,
  TIMER_D_MS,
  type TransactionEnvironment,
  type TransactionSink,
} from './timing.ts';

/**
 * INVITE client transaction: RFC 3261 17.1.1 (figure 5) as changed by RFC 6026 7.2.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> calling: INVITE sent, arm A (UDP) and B
 *   calling --> calling: A, send INVITE again, A doubles
 *   calling --> terminated: B or transport error
 *   calling --> proceeding: 1xx
 *   proceeding --> proceeding: 1xx
 *   proceeding --> terminated: B (armed by CANCEL only)
 *   calling --> completed: 3xx-6xx, send ACK, arm D
 *   proceeding --> completed: 3xx-6xx, send ACK, arm D
 *   completed --> completed: 3xx-6xx again, send ACK
 *   completed --> terminated: D or transport error
 *   calling --> accepted: 2xx, arm M
 *   proceeding --> accepted: 2xx, arm M
 *   accepted --> accepted: 2xx (again, or of another fork)
 *   accepted --> terminated: M
 * ```
 */
export type InviteClient =
  | { readonly state: 'calling'; readonly wire: string; readonly intervalMs: number }
  /** `wire` is kept for the ACK and the CANCEL that are built from it. */
  | { readonly state: 'proceeding'; readonly wire: string }
  | { readonly state: 'completed'; readonly ack: string }
  | { readonly state: 'accepted' }
  | { readonly state: 'terminated' };

export type InviteClientEvent =
  /** `ack` acknowledges a 3xx-6xx: built by the layer, since it needs the response's To. */
  | { readonly kind: 'response'; readonly status: number; readonly ack: string }
  | { readonly kind: 'timer'; readonly timer: 'A' | 'B' | 'D' | 'M' }
  /** A CANCEL went out. */
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'transportFailed' };

/** Sends the INVITE. */
export function startInviteClient(wire: string, env: TransactionEnvironment, out: TransactionSink): InviteClient {
  out.emit({ kind: 'transmit', wire });
  if (!env.reliable) out.emit({ kind: 'arm', timer: 'A', afterMs: env.t1Ms });
  out.emit({ kind: 'arm', timer: 'B', afterMs: lifetimeMs(env) });
  return { state: 'calling', wire, intervalMs: env.t1Ms };
}

export function inviteClient(
  state: InviteClient,
  event: InviteClientEvent,
  env: TransactionEnvironment,
  out: TransactionSink,
): InviteClient {
  switch (state.state) {
    case 'calling':
      switch (event.kind) {
        case 'response':
          out.emit({ kind: 'disarm', timer: 'A' });
          return onResponse(state, event, env, out);
        case 'timer':
          if (event.timer === 'A') {
            const intervalMs = state.intervalMs * 2;
            out.emit({ kind: 'transmit', wire: state.wire });
            out.emit({ kind: 'arm', timer: 'A', afterMs: intervalMs });
            return { ...state, intervalMs };
          }
          return event.timer === 'B' ? fail('timeout', out) : state;
        case 'transportFailed':
          return fail('transport', out);
        case 'cancelled':
          return state; // RFC 3261 9.1: no CANCEL before a 1xx; the layer waits for it.
      }
      return event satisfies never;
    case 'proceeding':
      switch (event.kind) {
        case 'response':
          return onResponse(state, event, env, out);
        case 'cancelled':
          // RFC 3261 9.1: a server that does not know CANCEL may never answer; give up after 64 * T1.
          out.emit({ kind: 'arm', timer: 'B', afterMs: lifetimeMs(env) });
          return state;
        case 'timer':
          return event.timer === 'B' ? fail('timeout', out) : state;
        case 'transportFailed':
          return state; // The request has arrived: only its response, or the user's timer C, ends this.
      }
      return event satisfies never;
    case 'completed':
      switch (event.kind) {
        case 'response':
          if (event.status >= 300) out.emit({ kind: 'transmit', wire: state.ack });
          return state;
        case 'timer':
          return event.timer === 'D' ? { state: 'terminated' } : state;
        case 'transportFailed':
          out.emit({ kind: 'disarm', timer: 'D' });
          return { state: 'terminated' }; // The user has its final response already: nothing to tell it.
        case 'cancelled':
          return state;
      }
      return event satisfies never;
    case 'accepted':
      switch (event.kind) {
        case 'response':
          if (event.status >= 200 && event.status < 300) out.emit({ kind: 'pass' });
          return state;
        case 'timer':
          return event.timer === 'M' ? { state: 'terminated' } : state;
        case 'transportFailed':
        case 'cancelled':
          return state;
      }
      return event satisfies never;
    case 'terminated':
      return state;
  }
}

function onResponse(
  state: InviteClient & { wire: string },
  event: { status: number; ack: string },
  env: TransactionEnvironment,
  out: TransactionSink,
): InviteClient {
  if (event.status < 200) {
    if (state.state === 'calling') out.emit({ kind: 'disarm', timer: 'B' });
    out.emit({ kind: 'pass' });
    return { state: 'proceeding', wire: state.wire };
  }
  out.emit({ kind: 'disarm', timer: 'B' });
  if (event.status < 300) {
    out.emit({ kind: 'arm', timer: 'M', afterMs: lifetimeMs(env) });
    out.emit({ kind: 'pass' });
    return { state: 'accepted' };
  }
  out.emit({ kind: 'transmit', wire: event.ack });
  if (!env.reliable) out.emit({ kind: 'arm', timer: 'D', afterMs: Math.max(TIMER_D_MS, lifetimeMs(env)) });
  out.emit({ kind: 'pass' });
  return env.reliable ? { state: 'terminated' } : { state: 'completed', ack: event.ack };
}

function fail(reason: FailureReason, out: TransactionSink): InviteClient {
  out.emit({ kind: 'disarm', timer: 'A' });
  out.emit({ kind: 'disarm', timer: 'B' });
  out.emit({ kind: 'failed', reason });
  return { state: 'terminated' };
}
