import type { SipMessage } from '../../sip/types.ts';
import { releaseCall } from './end.ts';
import { sendRequest } from './send-request.ts';
import { dropExchange, type Turn } from './turn.ts';
import type { Exchange } from './types.ts';

/**
 * A restored call may have ended while nobody was there to hear it, and without a session timer it would stay for ever.
 * An OPTIONS inside each dialog asks (RFC 3261 11.2): only a peer that has the dialog no more says 481.
 */
export function askPeers(turn: Turn): void {
  const { call } = turn;
  const fork = call.forks[call.winner];
  if (fork === undefined) return;
  for (const leg of ['served', 'remote'] as const)
    sendRequest(turn, { method: 'OPTIONS', purpose: 'audit', leg, fork });
}

/** Whatever else it says, it is there. */
export function peerAnswered(turn: Turn, exchange: Exchange, message: SipMessage): void {
  if (message.status < 200) return;
  dropExchange(turn.call, exchange);
  if (message.status === 481) releaseCall(turn, 'ended while nobody was there');
}
