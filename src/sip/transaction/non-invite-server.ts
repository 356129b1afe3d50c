import { lifetimeMs, type TransactionEnvironment, type TransactionSink } from './timing.ts';

/**
 * Non-INVITE server transaction: RFC 3261 17.2.2 (figure 8).
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> trying: request, pass to user
 *   trying --> trying: request again is absorbed
 *   trying --> proceeding: 1xx from user
 *   proceeding --> proceeding: request again, send response; 1xx from user
 *   trying --> completed: 2xx-6xx from user, arm J
 *   proceeding --> completed: 2xx-6xx from user, arm J
 *   completed --> completed: request again, send response
 *   completed --> terminated: J
 *   proceeding --> terminated: transport error
 *   completed --> terminated: transport error
 * ```
 */
export type NonInviteServer =
  | { readonly state: 'trying' }
  | { readonly state: 'proceeding'; readonly last: string }
  | { readonly state: 'completed'; readonly last: string }
  | { readonly state: 'terminated' };

export type NonInviteServerEvent =
  /** The request came again. */
  | { readonly kind: 'request' }
  | { readonly kind: 'respond'; readonly status: number; readonly wire: string }
  | { readonly kind: 'timer'; readonly timer: 'J' }
  | { readonly kind: 'transportFailed' };

export const NEW_NON_INVITE_SERVER: NonInviteServer = { state: 'trying' };

export function nonInviteServer(
  state: NonInviteServer,
  event: NonInviteServerEvent,
  env: TransactionEnvironment,
  out: TransactionSink,
): NonInviteServer {
  switch (state.state) {
    case 'trying':
    case 'proceeding':
      switch (event.kind) {
        case 'request':
          if (state.state === 'proceeding') out.emit({ kind: 'transmit', wire: state.last });
          return state;
        case 'respond':
          out.emit({ kind: 'transmit', wire: event.wire });
          if (event.status < 200) return { state: 'proceeding', last: event.wire };
          if (env.reliable) return { state: 'terminated' };
          out.emit({ kind: 'arm', timer: 'J', afterMs: lifetimeMs(env) });
          return { state: 'completed', last: event.wire };
        case 'transportFailed':
          out.emit({ kind: 'failed', reason: 'transport' });
          return { state: 'terminated' };
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
          return { state: 'terminated' };
        case 'transportFailed':
          out.emit({ kind: 'disarm', timer: 'J' });
          out.emit({ kind: 'failed', reason: 'transport' });
          return { state: 'terminated' };
        case 'respond':
          return state; // RFC 3261 17.2.2: a second final response is discarded.
      }
      return event satisfies never;
    case 'terminated':
      return state;
  }
}
