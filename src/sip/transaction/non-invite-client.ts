import { type FailureReason, lifetimeMs, type TransactionEnvironment, type TransactionSink } from './timing.ts';

/**
 * Non-INVITE client transaction: RFC 3261 17.1.2 (figure 6).
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> trying: request sent, arm E (UDP) and F
 *   trying --> trying: E, send again, E doubles up to T2
 *   trying --> proceeding: 1xx
 *   proceeding --> proceeding: E, send again every T2; 1xx
 *   trying --> completed: 2xx-6xx, arm K
 *   proceeding --> completed: 2xx-6xx, arm K
 *   trying --> terminated: F or transport error
 *   proceeding --> terminated: F or transport error
 *   completed --> completed: responses are absorbed
 *   completed --> terminated: K
 * ```
 */
export type NonInviteClient =
  | { readonly state: 'trying'; readonly wire: string; readonly intervalMs: number }
  | { readonly state: 'proceeding'; readonly wire: string }
  | { readonly state: 'completed' }
  | { readonly state: 'terminated' };

export type NonInviteClientEvent =
  | { readonly kind: 'response'; readonly status: number }
  | { readonly kind: 'timer'; readonly timer: 'E' | 'F' | 'K' }
  | { readonly kind: 'transportFailed' };

/** Sends the request. */
export function startNonInviteClient(wire: string, env: TransactionEnvironment, out: TransactionSink): NonInviteClient {
  out.emit({ kind: 'transmit', wire });
  if (!env.reliable) out.emit({ kind: 'arm', timer: 'E', afterMs: env.t1Ms });
  out.emit({ kind: 'arm', timer: 'F', afterMs: lifetimeMs(env) });
  return { state: 'trying', wire, intervalMs: env.t1Ms };
}

export function nonInviteClient(
  state: NonInviteClient,
  event: NonInviteClientEvent,
  env: TransactionEnvironment,
  out: TransactionSink,
): NonInviteClient {
  switch (state.state) {
    case 'trying':
    case 'proceeding':
      switch (event.kind) {
        case 'response':
          if (event.status < 200) {
            out.emit({ kind: 'pass' });
            return { state: 'proceeding', wire: state.wire };
          }
          out.emit({ kind: 'disarm', timer: 'E' });
          out.emit({ kind: 'disarm', timer: 'F' });
          if (!env.reliable) out.emit({ kind: 'arm', timer: 'K', afterMs: env.t4Ms });
          out.emit({ kind: 'pass' });
          return { state: env.reliable ? 'terminated' : 'completed' };
        case 'timer': {
          if (event.timer === 'F') return fail('timeout', out);
          if (event.timer !== 'E') return state;
          out.emit({ kind: 'transmit', wire: state.wire });
          const intervalMs = state.state === 'trying' ? Math.min(state.intervalMs * 2, env.t2Ms) : env.t2Ms;
          out.emit({ kind: 'arm', timer: 'E', afterMs: intervalMs });
          return state.state === 'trying' ? { ...state, intervalMs } : state;
        }
        case 'transportFailed':
          return fail('transport', out);
      }
      return event satisfies never;
    case 'completed':
      return event.kind === 'timer' && event.timer === 'K' ? { state: 'terminated' } : state;
    case 'terminated':
      return state;
  }
}

function fail(reason: FailureReason, out: TransactionSink): NonInviteClient {
  out.emit({ kind: 'disarm', timer: 'E' });
  out.emit({ kind: 'disarm', timer: 'F' });
  out.emit({ kind: 'failed', reason });
  return { state: 'terminated' };
}
