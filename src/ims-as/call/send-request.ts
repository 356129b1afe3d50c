import { ownRequest } from '../b2bua/compose.ts';
import { sessionLines } from './session-timer.ts';
import { nextBranch, type Turn } from './turn.ts';
import { type Exchange, type Fork, type LegName, otherLeg } from './types.ts';

/** A request that nobody asked us to pass on. */
export interface RequestOfOurs extends Pick<Exchange, 'method' | 'purpose' | 'attempt' | 'withdraws'> {
  /** The leg it goes out on. */
  readonly leg: LegName;
  readonly fork: Fork;
  /** An SDP offer, or nothing. */
  readonly offer?: string;
}

/** Sends a request of our own inside a dialog, and opens the exchange that its answer belongs to (RFC 3261 12.2.1.1). */
export function sendRequest(turn: Turn, { leg, fork, offer, ...rest }: RequestOfOurs): Exchange {
  const { call, env, out } = turn;
  const dialog = fork.dialogs[leg];
  const branch = nextBranch(call);
  const exchange: Exchange = {
    ...rest,
    id: call.serial++,
    from: otherLeg(leg),
    fork: fork.index,
    server: null,
    reply: '',
    recordRoute: '',
    to: '',
    cseqIn: 0,
    cseqOut: ++dialog.localCseq,
    branch,
    answered: 0,
    cancelled: false,
    sdp: offer === undefined ? 'none' : 'offer',
    raw: '',
    retried: false,
  };
  call.exchanges.push(exchange);
  const { method, cseqOut: cseq } = exchange;
  const headers = exchange.purpose === 'reoffer' ? sessionLines(turn, leg) : '';
  const wire = ownRequest(call, method, { leg, dialog, branch, cseq, headers, body: offer }, env);
  out.emit({ kind: 'request', branch, method, wire, nextHop: dialog.nextHop });
  return exchange;
}
