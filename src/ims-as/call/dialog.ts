import { own } from '../../base/owned.ts';
import { findSdp, parseMaxForwards } from '../../sip/message/index.ts';
import type { ServerKey, SipMessage } from '../../sip/types.ts';
import { onwardRequest } from '../b2bua/compose.ts';
import { contactParams, contactUri } from '../b2bua/party.ts';
import { forkSdp } from '../media/state.ts';
import { acknowledged } from './acknowledge.ts';
import { answerArrived, negotiated } from './answer.ts';
import { deferChannels } from './deferred.ts';
import { endCall } from './end.ts';
import { openExchange, reinvite } from './invite.ts';
import { offerArrived, withdrawOffer } from './negotiate.ts';
import { notify } from './notify.ts';
import { passOn } from './pass.ts';
import { heardPlain, tellOfPlain } from './plain.ts';
import { awaitRest } from './rest.ts';
import { answer, disarm, dropExchange, forkOfRequest, nextBranch, type Turn } from './turn.ts';
import { type Fork, type LegName, MAX_EXCHANGES, otherLeg } from './types.ts';

/** A request inside one of our dialogs. */
export function requestArrived(turn: Turn, leg: LegName, key: ServerKey, message: SipMessage) {
  const { call } = turn;
  const fork = forkOfRequest(call, leg, message);
  if (fork === undefined) return refuse(turn, leg, key, message, 481);
  const dialog = fork.dialogs[leg];
  if (message.cseq < dialog.remoteCseq) return refuse(turn, leg, key, message, 500);
  if (message.cseq === dialog.remoteCseq) return refuse(turn, leg, key, message, 482);
  dialog.remoteCseq = message.cseq;
  if (parseMaxForwards(message.first('max-forwards') ?? '') === 0) return refuse(turn, leg, key, message, 483);
  if (message.method === 'BYE') return byeArrived(turn, leg, fork, key, message);
  if (call.state === 'ending' || call.state === 'ended' || fork.state === 'ended')
    return refuse(turn, leg, key, message, 481);
  if (message.method === 'INVITE' || message.method === 'UPDATE') refreshTarget(turn, leg, fork, message);
  if (message.method === 'INVITE') return reinvite(turn, leg, fork.index, key, message);
  relay(turn, leg, fork, key, message);
}

function refuse(turn: Turn, leg: LegName, key: ServerKey, message: SipMessage, status: number) {
  const exchange = openExchange(turn, leg, 0, key, message);
  answer(turn, exchange, status, status === 500 ? 'Retry-After: 1\r\n' : '');
}

/** RFC 3261 12.2.2: where the peer is from now on, and what the other side may see of its abilities (R21). */
function refreshTarget(turn: Turn, leg: LegName, fork: Fork, message: SipMessage) {
  const target = contactUri(message);
  if (target === undefined) return;
  const dialog = fork.dialogs[leg];
  if (dialog.target !== target) {
    dialog.target = own(target);
    if (dialog.route === '') dialog.nextHop = dialog.target;
  }
  const params = contactParams(message);
  const shown = turn.call.legs[otherLeg(leg)];
  if (shown.contactParams !== params) shown.contactParams = own(params);
}

/** UPDATE, PRACK, INFO, MESSAGE, REFER, NOTIFY, OPTIONS and methods we have never heard of: the other side's to answer. */
function relay(turn: Turn, leg: LegName, fork: Fork, key: ServerKey, message: SipMessage) {
  const { call } = turn;
  const far = otherLeg(leg);
  if (fork.dialogs[far].remoteTag === '') return refuse(turn, leg, key, message, 481);
  const exchange = openExchange(turn, leg, fork.index, key, message);
  if (call.exchanges.length > MAX_EXCHANGES) return answer(turn, exchange, 503, 'Retry-After: 2\r\n');
  const span = message.method === 'UPDATE' || message.method === 'PRACK' ? findSdp(message) : undefined;
  if (span === undefined) return passOn(turn, exchange, message, message.body);
  const late =
    message.method === 'PRACK' && call.exchanges.some((open) => open.method === 'INVITE' && open.sdp === 'late');
  if (late && call.media?.sdp[fork.index]?.[leg].offerAnswer.state !== 'stable') {
    exchange.sdp = 'answer';
    if (call.media === null) heardPlain(turn, leg, message.body, span, 'answer');
    return passOn(turn, exchange, message, answerArrived(turn, far, fork.index, message.body, span));
  }
  offerArrived(turn, exchange, message, span);
}

/** RFC 3261 15.1.2. Both sides' BYEs may cross; each is answered. */
function byeArrived(turn: Turn, leg: LegName, fork: Fork, key: ServerKey, message: SipMessage) {
  const { call } = turn;
  const exchange = openExchange(turn, leg, fork.index, key, message);
  if (call.state === 'ending' || call.state === 'ended' || fork.state === 'ended') return answer(turn, exchange, 200);
  if (call.state === 'establishing') {
    // The caller may end an early dialog by BYE; the callee may not (RFC 3261 15).
    if (leg !== call.caller) return answer(turn, exchange, 481);
    answer(turn, exchange, 200);
    return endCall(turn, 'BYE before answer');
  }
  endCall(turn, `BYE from ${leg}`);
  passOn(turn, exchange, message, message.body);
}

/** The ACK of a 2xx. Its SDP, if any, answers a late offer. */
export function ackArrived(turn: Turn, leg: LegName, message: SipMessage) {
  const { call, env, out } = turn;
  acknowledged(turn, leg, message.cseq);
  const exchange = call.exchanges.find(
    (open) =>
      open.method === 'INVITE' &&
      open.from === leg &&
      open.cseqIn === message.cseq &&
      open.answered >= 200 &&
      open.answered < 300,
  );
  if (exchange === undefined) return;
  dropExchange(call, exchange);
  const fork = call.forks[exchange.fork]!;
  const far = otherLeg(leg);
  const dialog = fork.dialogs[far];
  const span = exchange.sdp === 'late' ? findSdp(message) : undefined;
  if (span !== undefined && call.media === null) {
    heardPlain(turn, leg, message.body, span, 'answer');
    tellOfPlain(turn);
  }
  const body = span === undefined ? message.body : answerArrived(turn, far, fork.index, message.body, span);
  const wire = own(
    onwardRequest(call, message, { leg: far, dialog, branch: nextBranch(call), cseq: exchange.cseqOut, body }, env),
  );
  dialog.ack = { cseq: exchange.cseqOut, wire };
  awaitRest(turn);
  out.emit({ kind: 'transmit', wire, nextHop: dialog.nextHop });
  if (exchange.sdp !== 'late' || call.media === null) return;
  const { offerAnswer } = forkSdp(call.media, fork.index)[far];
  // Without a body here the answer went with a PRACK (RFC 3262 5); another offer may be open by now.
  if (span === undefined && (offerAnswer.state !== 'stable' || offerAnswer.agreed === undefined)) return;
  if (span !== undefined || call.negotiation.step === 'stable') negotiated(turn, fork.index, far);
  deferChannels(turn, far);
}

/** The layer has answered the CANCEL itself. */
export function cancelArrived(turn: Turn, key: ServerKey, message: SipMessage) {
  const { call, out } = turn;
  const exchange = call.exchanges.find((open) => open.server === key);
  if (exchange === undefined || exchange.answered !== 0) return;
  exchange.cancelled = true;
  const initial = call.state === 'establishing';
  if (exchange.branch !== '' && !initial) {
    // A re-INVITE: the other side may have agreed already, so its answer decides for both.
    out.emit({ kind: 'cancel', branch: exchange.branch, headers: message.span('reason') });
    return;
  }
  if (initial) {
    if (exchange.branch !== '') out.emit({ kind: 'cancel', branch: exchange.branch, headers: message.span('reason') });
    answer(turn, exchange, 487);
    return endCall(turn, 'cancelled');
  }
  // Held by the barrier (R18).
  const { negotiation } = call;
  if (
    (negotiation.step === 'heldForDcsf' || negotiation.step === 'heldForMf') &&
    negotiation.held.exchange === exchange.id
  ) {
    call.negotiation = { step: 'stable' };
    disarm(turn, 'barrier');
    withdrawOffer(turn, exchange.from, exchange.fork, negotiation.rollback);
    notify(turn, 'MEDIA_CHANGE_FAILURE', exchange.from, {});
  }
  answer(turn, exchange, 487);
}

/** Our request got no answer, or never left: the peer behind it is gone for this purpose. */
export function clientFailed(
  turn: Turn,
  branch: string,
  reason: 'timeout' | 'transport' | 'overload',
  failure: (status: number) => void,
) {
  const { call } = turn;
  const exchange = call.exchanges.find((open) => open.branch === branch);
  if (exchange === undefined) return;
  if (exchange.purpose !== 'relay') {
    dropExchange(call, exchange);
    return failure(reason === 'timeout' ? 408 : 503);
  }
  exchange.branch = '';
  if (exchange.answered !== 0) return dropExchange(call, exchange);
  // The BYE has done its work on the leg it came from.
  answer(turn, exchange, exchange.method === 'BYE' ? 200 : reason === 'timeout' ? 408 : 503);
  if (exchange.method === 'INVITE' && call.state === 'establishing') endCall(turn, reason);
}
