import { lifetimeMs, type TransactionEnvironment, type TransactionSink } from './timing.ts';

/**
 * INVITE server transaction: RFC 3261 17.2.1 (figure 7) as changed by RFC 6026 7.1.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> proceeding: INVITE, pass to user
 *   proceeding --> proceeding: INVITE again, send last response; 1xx from user
 *   proceeding --> completed: 3xx-6xx from user, arm G (UDP) and H
 *   completed --> completed: G or INVITE again, send response, G doubles up to T2
 *   completed --> confirmed: ACK, arm I
 *   completed --> terminated: H, tell the user
 *   confirmed --> terminated: I
 *   proceeding --> accepted: 2xx from user, arm L
 *   accepted --> accepted: INVITE again is absorbed; 2xx from user; ACK to user
 *   accepted --> terminated: L
 * ```
 * A transport error is reported and changes no state (RFC 6026 8.8): the next response may well get through.
 */
export type InviteServer =
  | { readonly state: 'proceeding'; readonly last: string }
  | { readonly state: 'completed'; readonly last: string; readonly intervalMs: number }
  | { readonly state: 'confirmed' }
  | { readonly state: 'accepted' }
  | { readonly state: 'terminated' };

export type InviteServerEvent =
  /** The INVITE came again. */
  | { readonly kind: 'request' }
  | { readonly kind: 'ack' }
  | { readonly kind: 'respond'; readonly status: number; readonly wire: string }
  | { readonly kind: 'timer'; readonly timer: 'G' | 'H' | 'I' | 'L' }
  | { readonly kind: 'transportFailed' };

/** `last` is empty until a response was sent. */
export const NEW_INVITE_SERVER: InviteServer = { state: 'proceeding', last: '' };

export function inviteServer(
  state: InviteServer,
  event: InviteServerEvent,
  env: TransactionEnvironment,
  out: TransactionSink,
): InviteServer {
  switch (state.state) {
    case 'proceeding':
      switch (event.kind) {
        case 'request':
          if (state.last !== '') out.emit({ kind: 'transmit', wire: state.last });
          return state;
        case 'respond':
          return respond(event, env, out);
        case 'transportFailed':
          out.emit({ kind: 'failed', reason: 'transport' });
          return state;
        case 'ack':
        case 'timer':
          return state;
      }
      return event satisfies never;
    case 'completed':
      switch (event.kind) {
        case 'request':
          out.emit({ kind: 'transmit', wire: state.last });
          return state;
        case 'timer':
          return onCompletedTimer(state, event.timer, env, out);
        case 'ack':
          out.emit({ kind: 'disarm', timer: 'G' });
          out.emit({ kind: 'disarm', timer: 'H' });
          if (env.reliable) return { state: 'terminated' };
          out.emit({ kind: 'arm', timer: 'I', afterMs: env.t4Ms });
          return { state: 'confirmed' };
        case 'transportFailed':
          out.emit({ kind: 'failed', reason: 'transport' });
          return state;
        case 'respond':
          return state; // RFC 3261 17.2.1: a second final response is discarded.
      }
      return event satisfies never;
    case 'confirmed':
      return event.kind === 'timer' && event.timer === 'I' ? { state: 'terminated' } : state;
    case 'accepted':
      switch (event.kind) {
        case 'ack':
          out.emit({ kind: 'pass' });
          return state;
        case 'respond':
          if (event.status >= 200 && event.status < 300) out.emit({ kind: 'transmit', wire: event.wire });
          return state;
        case 'timer':
          return event.timer === 'L' ? { state: 'terminated' } : state;
        case 'transportFailed':
          out.emit({ kind: 'failed', reason: 'transport' });
          return state;
        case 'request':
          return state; // RFC 6026 7.1: the user retransmits its 2xx, the transaction does not.
      }
      return event satisfies never;
    case 'terminated':
      return state;
  }
}

function respond(
  event: { status: number; wire: string },
  env: TransactionEnvironment,
  out: TransactionSink,
): InviteServer {
  out.emit({ kind: 'transmit', wire: event.wire });
  if (event.status < 200) return { state: 'proceeding', last: event.wire };
  if (event.status < 300) {
    out.emit({ kind: 'arm', timer: 'L', afterMs: lifetimeMs(env) });
    return { state: 'accepted' };
  }
  if (!env.reliable) out.emit({ kind: 'arm', timer: 'G', afterMs: env.t1Ms });
  out.emit({ kind: 'arm', timer: 'H', afterMs: lifetimeMs(env) });
  return { state: 'completed', last: event.wire, intervalMs: env.t1Ms };
}

function onCompletedTimer(
  state: InviteServer & { state: 'completed' },
  timer: 'G' | 'H' | 'I' | 'L',
  env: TransactionEnvironment,
  out: TransactionSink,
): InviteServer {
  if (timer === 'G') {
    const intervalMs = Math.min(state.intervalMs * 2, env.t2Ms);
    out.emit({ kind: 'transmit', wire: state.last });
    out.emit({ kind: 'arm', timer: 'G', afterMs: intervalMs });
    return { ...state, intervalMs };
  }
  if (timer !== 'H') return state;
  out.emit({ kind: 'disarm', timer: 'G' });
  out.emit({ kind: 'failed', reason: 'timeout' });
  return { state: 'terminated' };
}
