import { own } from '../../base/owned.ts';
import { endsDialog, findSdp, MAX_FORKS } from '../../sip/index.ts';
import type { SipMessage } from '../../sip/types.ts';
import { onwardResponse, ownRequest } from '../b2bua/compose.ts';
import { mintTag, readTag } from '../b2bua/identity.ts';
import { contactParams, contactUri, routeSet, supportsDataChannel } from '../b2bua/party.ts';
import { respond2xx } from './acknowledge.ts';
import { answerArrived, lateOfferArrived, negotiated } from './answer.ts';
import { peerAnswered } from './audit.ts';
import { endCall } from './end.ts';
import { reconcile } from './mrm.ts';
import { offerRefused } from './negotiate.ts';
import { channels, notify } from './notify.ts';
import { heardPlain, tellOfPlain } from './plain.ts';
import { reofferAnswered } from './reoffer.ts';
import { awaitRest } from './rest.ts';
import { retryWithoutDataChannels } from './retry.ts';
import { sendRequest } from './send-request.ts';
import { watchSession } from './session-timer.ts';
import { disarm, dropExchange, localTag, nextBranch, note, type Turn } from './turn.ts';
import { type Exchange, type Fork, type LegName, otherLeg } from './types.ts';

/** A response to a request that we sent. */
export function responseArrived(turn: Turn, branch: string, message: SipMessage) {
  const { call } = turn;
  const exchange = call.exchanges.find((open) => open.branch === branch);
  if (exchange === undefined) return strayResponse(turn, message);
  // A CANCEL has the branch of its INVITE.
  if (message.status === 100 || message.method !== exchange.method) return;
  if (exchange.purpose === 'bye') {
    if (message.status >= 200) dropExchange(call, exchange);
    return;
  }
  if (exchange.purpose === 'audit') return peerAnswered(turn, exchange, message);
  const leg = otherLeg(exchange.from);
  const initial = exchange.method === 'INVITE' && call.winner < 0 && exchange.purpose === 'relay';
  const fork = initial ? forkOfResponse(turn, leg, message) : call.forks[exchange.fork];
  if (fork === undefined) return note(turn, `${message.status} of a fork beyond ${MAX_FORKS}`);
  if (message.status < 300 && message.method !== 'BYE') learnContact(turn, leg, fork, message);
  if (exchange.purpose === 'reoffer') return reofferAnswered(turn, exchange, fork, message);
  if (message.status < 200) return provisional(turn, exchange, fork, message);
  if (message.status < 300) return success(turn, exchange, fork, message);
  failure(turn, exchange, fork, message);
}

/** Each To tag is an early dialog of its own, and the caller sees one for each (RFC 3261 12.1). */
function forkOfResponse(turn: Turn, leg: LegName, message: SipMessage): Fork | undefined {
  const { call } = turn;
  const first = call.forks[0]!;
  if (message.toTag === '') return first;
  const known = call.forks.find(({ dialogs }) => dialogs[leg].remoteTag === message.toTag);
  if (known !== undefined) return known;
  if (first.dialogs[leg].remoteTag === '') {
    if (message.status < 300) enterDialog(first, leg, message);
    return first;
  }
  if (message.status >= 300) return first;
  // One that answers is heard all the same: it is the call, or has to be ended.
  if (call.forks.length >= (message.status < 200 ? MAX_FORKS : 2 * MAX_FORKS)) return undefined;
  const near = otherLeg(leg);
  const index = call.forks.length;
  const dialogs = { ...first.dialogs };
  dialogs[leg] = { ...first.dialogs[leg], ack: null };
  dialogs[near] = { ...first.dialogs[near], localTag: mintTag(call.id, near, index), ack: null };
  const fork: Fork = { index, state: 'early', dialogs };
  enterDialog(fork, leg, message);
  call.forks.push(fork);
  return fork;
}

/** RFC 3261 12.1.2: the dialog as the caller's side of that leg, which is us. */
function enterDialog(fork: Fork, leg: LegName, message: SipMessage) {
  const dialog = fork.dialogs[leg];
  dialog.remoteTag = own(message.toTag);
  const target = own(contactUri(message) ?? dialog.target);
  const routes = routeSet(message, 'uac', target);
  dialog.target = target;
  dialog.route = routes.line;
  dialog.nextHop = routes.nextHop;
}

/** Feature parameters for the other leg's Contact (R21), and where requests go from now on (RFC 3261 12.2.1.2). */
function learnContact(turn: Turn, leg: LegName, fork: Fork, message: SipMessage) {
  const target = contactUri(message);
  if (target === undefined) return;
  const { call } = turn;
  const params = contactParams(message);
  const shown = call.legs[otherLeg(leg)];
  if (shown.contactParams !== params) shown.contactParams = own(params);
  if (leg !== call.caller && supportsDataChannel(params)) call.calleeSupportsDataChannel = true;
  const dialog = fork.dialogs[leg];
  if (message.status < 200 || dialog.target === target) return;
  dialog.target = own(target);
  if (dialog.route === '') dialog.nextHop = dialog.target;
}

function provisional(turn: Turn, exchange: Exchange, fork: Fork, message: SipMessage) {
  const { call, env } = turn;
  if (exchange.answered !== 0 || exchange.server === null) return;
  const body = withSdp(turn, exchange, fork, message);
  const wire = onwardResponse(call, exchange, message, fork.dialogs[exchange.from].localTag, body, env);
  turn.out.emit({ kind: 'respond', key: exchange.server, status: message.status, wire });
  if (call.media === null) {
    if (message.status === 180 && call.record.ringingMs === 0) call.record.ringingMs = env.nowMs - call.startedMs;
    return;
  }
  // A reliable answer settles the exchange: UPDATE may follow before the 2xx (RFC 6337 3.2).
  const { negotiation } = call;
  if (
    message.first('rseq') !== undefined &&
    body !== '' &&
    negotiation.step === 'awaitingAnswer' &&
    negotiation.exchange === exchange.id
  ) {
    call.negotiation = { step: 'stable' };
  }
  reconcile(turn);
  if (call.state !== 'establishing') return;
  if (message.status === 180 && call.record.ringingMs === 0) {
    call.record.ringingMs = env.nowMs - call.startedMs;
    notify(turn, 'SESSION_ESTABLISHMENT_ALERTING', call.caller, channels(call.media.lines));
  } else if (message.status === 183)
    notify(turn, 'SESSION_ESTABLISHMENT_PROGRESS', call.caller, channels(call.media.lines));
}

/** The body for the other leg: an answer, a late offer, or whatever else it is, untouched. */
function withSdp(turn: Turn, exchange: Exchange, fork: Fork, message: SipMessage): string {
  const span =
    exchange.method === 'INVITE' || exchange.method === 'UPDATE' || exchange.method === 'PRACK'
      ? findSdp(message)
      : undefined;
  if (span === undefined) return message.body;
  if (turn.call.media === null && exchange.sdp !== 'answer') {
    heardPlain(turn, otherLeg(exchange.from), message.body, span, exchange.sdp === 'offer' ? 'answer' : 'offer');
  }
  if (exchange.sdp === 'offer')
    return turn.call.media === null ? message.body : answerArrived(turn, exchange.from, fork.index, message.body, span);
  if (exchange.method !== 'INVITE' || exchange.sdp === 'answer') return message.body;
  exchange.sdp = 'late';
  return lateOfferArrived(turn, otherLeg(exchange.from), fork.index, message.body, span);
}

function success(turn: Turn, exchange: Exchange, fork: Fork, message: SipMessage) {
  const { call, env } = turn;
  const leg = otherLeg(exchange.from);
  if (exchange.method === 'INVITE' && (exchange.answered !== 0 || call.state === 'ending')) {
    if (exchange.answered >= 300 || call.state === 'ending') {
      // The 2xx crossed our CANCEL: it makes a dialog that nobody wants (RFC 3261 15).
      acknowledgeAndBye(turn, leg, fork, message);
      return dropExchange(call, exchange);
    }
    return; // Our own 2xx still waits for its ACK.
  }
  const { server } = exchange;
  if (server === null) return dropExchange(call, exchange);
  const first = exchange.method === 'INVITE' && call.winner < 0;
  if (first) {
    call.winner = fork.index;
    exchange.fork = fork.index;
    fork.state = 'confirmed';
    for (const other of call.forks) if (other !== fork) other.state = 'ended';
    enterDialog(fork, leg, message);
    call.start = null;
    disarm(turn, 'ring');
    call.record.answeredMs = env.nowMs;
  }
  const body = withSdp(turn, exchange, fork, message);
  const wire = onwardResponse(call, exchange, message, localTag(call, exchange, fork.index), body, env);
  watchSession(turn, exchange, message);
  respond2xx(turn, exchange, message.status, wire, fork.index, false);
  if (exchange.sdp === 'offer' && (call.state === 'established' || first)) negotiated(turn, fork.index, exchange.from);
  else if (exchange.sdp === 'offer') call.negotiation = { step: 'stable' };
  if (first) {
    call.state = 'established';
    tellOfPlain(turn);
  }
  exchange.raw = '';
}

function failure(turn: Turn, exchange: Exchange, fork: Fork, message: SipMessage) {
  const { call, env } = turn;
  const initial = exchange.method === 'INVITE' && call.state === 'establishing';
  if (initial && message.status === 488 && retryWithoutDataChannels(turn, exchange)) return;
  dropExchange(call, exchange);
  if (exchange.server !== null && exchange.answered === 0) {
    exchange.answered = message.status;
    const wire = onwardResponse(call, exchange, message, fork.dialogs[exchange.from].localTag, message.body, env);
    turn.out.emit({ kind: 'respond', key: exchange.server, status: message.status, wire });
  }
  if (initial) return endCall(turn, String(message.status));
  if (exchange.sdp === 'offer') offerRefused(turn, exchange);
  if (exchange.method === 'INVITE' && endsDialog(message.status) && message.status !== 408)
    note(turn, `re-INVITE answered ${message.status}`);
}

/** No exchange is open for it: a 2xx that comes again because its ACK was lost, or from a fork that lost. */
function strayResponse(turn: Turn, message: SipMessage) {
  const { call } = turn;
  if (message.method !== 'INVITE' || message.status < 200 || message.status >= 300) return;
  const leg = readTag(message.fromTag)?.leg;
  if (leg === undefined) return;
  // On the caller's side all forks share its tag and differ in ours; on the callee's it is the other way round.
  const known = call.forks.find(
    ({ dialogs }) => dialogs[leg].localTag === message.fromTag && dialogs[leg].remoteTag === message.toTag,
  );
  const fork = known ?? (leg === call.caller ? undefined : forkOfResponse(turn, leg, message));
  if (fork === undefined) return;
  const { ack, nextHop } = fork.dialogs[leg];
  if (ack !== null && ack.cseq === message.cseq) turn.out.emit({ kind: 'transmit', wire: ack.wire, nextHop });
  else if (fork.index !== call.winner) acknowledgeAndBye(turn, leg, fork, message);
  // Of a re-INVITE that nobody remembers (a restart): without an ACK that peer would end the call (RFC 3261 13.3.1.4).
  else if (message.cseq > (ack?.cseq ?? 0)) acknowledge(turn, leg, fork, message.cseq);
}

/** A dialog that must not live: ACK, so that its 2xx is not repeated, then BYE. */
export function acknowledgeAndBye(turn: Turn, leg: LegName, fork: Fork, message: SipMessage) {
  enterDialog(fork, leg, message);
  acknowledge(turn, leg, fork, message.cseq);
  fork.state = 'ended';
  sendBye(turn, leg, fork);
}

/** An ACK of our own for a 2xx with that CSeq; kept, for the next time the 2xx comes. */
export function acknowledge(turn: Turn, leg: LegName, fork: Fork, cseq: number, body = '') {
  const { call, env } = turn;
  const dialog = fork.dialogs[leg];
  const wire = own(ownRequest(call, 'ACK', { leg, dialog, branch: nextBranch(call), cseq, body }, env));
  dialog.ack = { cseq, wire };
  awaitRest(turn);
  turn.out.emit({ kind: 'transmit', wire, nextHop: dialog.nextHop });
}

export function sendBye(turn: Turn, leg: LegName, fork: Fork) {
  if (fork.dialogs[leg].remoteTag === '') return;
  sendRequest(turn, { method: 'BYE', purpose: 'bye', leg, fork });
}
