import type { SipMessage } from '../../sip/types.ts';
import { ownRequest } from '../b2bua/compose.ts';
import { releaseCall } from './end.ts';
import { dropExchange, nextBranch, type Turn } from './turn.ts';
import { type Exchange, otherLeg } from './types.ts';

/**
 * A restored call may have ended while nobody was there to hear it, and without a session timer it would stay for ever.
 * An OPTIONS inside each dialog asks (RFC 3261 11.2): only a peer that has the dialog no more says 481.
 */
export function askPeers(turn: Turn): void {
  const { call, env, out } = turn;
  const fork = call.forks[call.winner];
  if (fork === undefined) return;
  for (const leg of ['served', 'remote'] as const) {
    const dialog = fork.dialogs[leg];
    const branch = nextBranch(call);
    const cseq = ++dialog.localCseq;
    call.exchanges.push({
      id: call.serial++,
      method: 'OPTIONS',
      from: otherLeg(leg),
      fork: fork.index,
      server: null,
      reply: '',
      recordRoute: '',
      to: '',
      cseqIn: 0,
      cseqOut: cseq,
      branch,
      answered: 0,
      cancelled: false,
      sdp: 'none',
      raw: '',
      retried: false,
      purpose: 'audit',
    });
    const wire = ownRequest(call, 'OPTIONS', { leg, dialog, branch, cseq }, env);
    out.emit({ kind: 'request', branch, method: 'OPTIONS', wire, nextHop: dialog.nextHop });
  }
}

/** Whatever else it says, it is there. */
export function peerAnswered(turn: Turn, exchange: Exchange, message: SipMessage): void {
  if (message.status < 200) return;
  dropExchange(turn.call, exchange);
  if (message.status === 481) releaseCall(turn, 'ended while nobody was there');
}
