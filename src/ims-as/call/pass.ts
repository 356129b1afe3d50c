import type { SipMessage } from '../../sip/types.ts';
import { onwardRequest } from '../b2bua/compose.ts';
import { nextBranch, type Turn } from './turn.ts';
import { type Exchange, otherLeg } from './types.ts';

/** Sends the request of `exchange` on, on the other leg. */
export function passOn(turn: Turn, exchange: Exchange, message: SipMessage, body: string): void {
  const { call, env, out } = turn;
  const leg = otherLeg(exchange.from);
  const fork = call.forks[exchange.fork] ?? call.forks[0]!;
  const dialog = fork.dialogs[leg];
  exchange.cseqOut = ++dialog.localCseq;
  exchange.branch = nextBranch(call);
  const rackCseq = message.method === 'PRACK' ? inviteCseq(turn, exchange) : undefined;
  const wire = onwardRequest(
    call,
    message,
    {
      leg,
      dialog,
      branch: exchange.branch,
      cseq: exchange.cseqOut,
      ...(rackCseq === undefined ? {} : { rackCseq }),
      body,
    },
    env,
  );
  out.emit({ kind: 'request', branch: exchange.branch, method: exchange.method, wire, nextHop: dialog.nextHop });
}

/** CSeq on the other leg of the INVITE whose 1xx is acknowledged. */
function inviteCseq(turn: Turn, prack: Exchange): number | undefined {
  const invite = turn.call.exchanges.find(
    (exchange) => exchange.method === 'INVITE' && exchange.from === prack.from && exchange.cseqOut > 0,
  );
  return invite?.cseqOut;
}
