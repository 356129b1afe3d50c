import { own } from '../../base/owned.ts';
import { findSdp, isPriorityRequest } from '../../sip/message/index.ts';
import type { ServerKey, SipMessage } from '../../sip/types.ts';
import { replyLines } from '../b2bua/compose.ts';
import { mintTag } from '../b2bua/identity.ts';
import { contactParams, contactUri, routeSet, withoutTag } from '../b2bua/party.ts';
import type { IscContext } from '../b2bua/session-case.ts';
import { offerArrived } from './negotiate.ts';
import { passOn } from './pass.ts';
import { answer, arm, type Turn } from './turn.ts';
import { type Call, type Dialog, type Exchange, type Leg, type LegName, MAX_EXCHANGES, otherLeg } from './types.ts';

export interface NewCall {
  /** Starts with the route token; without '-' after its last part (identity.ts). */
  readonly id: string;
  readonly sessionId: string;
  readonly isc: IscContext;
  readonly calleeSupportsDataChannel: boolean | undefined;
  readonly nowMs: number;
}

/** The record of a new call; `message` is its INVITE, with a Contact. */
export function createCall(message: SipMessage, options: NewCall): Call {
  const { id, isc, nowMs } = options;
  const caller: LegName = isc.sessionCase === 'originating' ? 'served' : 'remote';
  const callee = otherLeg(caller);
  const from = own(withoutTag(message.first('from') ?? ''));
  const to = own(withoutTag(message.first('to') ?? ''));
  const target = own(contactUri(message) ?? '');
  const routes = routeSet(message, 'uas', target);
  const callerLeg: Leg = { callId: own(message.callId), localParty: to, remoteParty: from, contactParams: '' };
  const calleeLeg: Leg = { callId: id, localParty: from, remoteParty: to, contactParams: own(contactParams(message)) };
  const callerDialog: Dialog = {
    localTag: mintTag(id, caller, 0),
    remoteTag: own(message.fromTag),
    localCseq: 0,
    remoteCseq: message.cseq,
    target,
    route: routes.line,
    nextHop: routes.nextHop,
    ack: null,
  };
  const start = { target: own(message.requestUri), route: own(isc.route), nextHop: own(isc.nextHop) };
  const calleeDialog: Dialog = {
    localTag: mintTag(id, callee, 0),
    remoteTag: '',
    localCseq: 0,
    remoteCseq: -1,
    ...start,
    ack: null,
  };
  return {
    schema: 1,
    id,
    sessionId: options.sessionId,
    sessionCase: isc.sessionCase,
    caller,
    startedMs: nowMs,
    revision: 0,
    state: 'establishing',
    legs: caller === 'served' ? { served: callerLeg, remote: calleeLeg } : { served: calleeLeg, remote: callerLeg },
    forks: [
      {
        index: 0,
        state: 'early',
        dialogs:
          caller === 'served'
            ? { served: callerDialog, remote: calleeDialog }
            : { served: calleeDialog, remote: callerDialog },
      },
    ],
    start,
    winner: -1,
    exchanges: [],
    unacknowledged: null,
    negotiation: { step: 'stable' },
    media: null,
    said: { served: 0, remote: 0 },
    plain: null,
    queue: [],
    deadlines: {},
    session: null,
    serial: 0,
    identities: { calling: own(isc.calling), called: own(isc.called), chargingId: own(isc.chargingId) },
    priority: isPriorityRequest(message),
    calleeSupportsDataChannel: options.calleeSupportsDataChannel,
    record: { answeredMs: 0, endedMs: 0, outcome: '', heldMs: 0, ringingMs: 0, notes: [], dataChannelLines: 0 },
  };
}

/** A request that is to be answered later. Undefined: too many at once; it has been refused with 503. */
export function openExchange(turn: Turn, leg: LegName, fork: number, key: ServerKey, message: SipMessage): Exchange {
  const { call } = turn;
  const exchange: Exchange = {
    id: call.serial++,
    method: own(message.method),
    from: leg,
    fork,
    server: key,
    reply: replyLines(message),
    recordRoute: message.toTag === '' ? own(message.span('record-route')) : '',
    to: own(message.first('to') ?? ''),
    cseqIn: message.cseq,
    cseqOut: 0,
    branch: '',
    answered: 0,
    cancelled: false,
    sdp: 'none',
    raw: '',
    retried: false,
    purpose: 'relay',
  };
  call.exchanges.push(exchange);
  return exchange;
}

/** The INVITE that made the call. The transaction layer has sent 100 already (R15). */
export function startCall(turn: Turn, key: ServerKey, message: SipMessage) {
  const { call, env } = turn;
  const exchange = openExchange(turn, call.caller, 0, key, message);
  arm(turn, 'ring', env.nowMs + env.config.ringLimitMs);
  passInvite(turn, exchange, message);
}

/** A re-INVITE. While another INVITE is open in the dialog there can be no second one (RFC 3261 14.2). */
export function reinvite(turn: Turn, leg: LegName, fork: number, key: ServerKey, message: SipMessage) {
  const { call, env } = turn;
  const open = call.exchanges.find((other) => other.method === 'INVITE' && other.cancelled === false);
  const exchange = openExchange(turn, leg, fork, key, message);
  if (call.exchanges.length > MAX_EXCHANGES) return answer(turn, exchange, 503, 'Retry-After: 2\r\n');
  const pending = open !== undefined || call.unacknowledged !== null;
  // Our own offer is nobody's second one: the peer tries again in a moment (RFC 3261 14.1).
  const theirs = open?.purpose === 'reoffer' ? undefined : (open?.from ?? call.unacknowledged?.leg);
  if (pending && theirs !== leg) return answer(turn, exchange, 491);
  if (pending) return answer(turn, exchange, 500, `Retry-After: ${Number.parseInt(env.random(1), 16) % 10}\r\n`);
  passInvite(turn, exchange, message);
}

function passInvite(turn: Turn, exchange: Exchange, message: SipMessage) {
  const span = findSdp(message);
  if (span === undefined) passOn(turn, exchange, message, message.body);
  else offerArrived(turn, exchange, message, span);
}
