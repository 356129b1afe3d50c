import { own } from '../../base/owned.ts';
import { answerReceived, answerSent, type OfferAnswer, offerReceived, offerSent } from '../../sdp/offer-answer.ts';
import { parseSessionDescription } from '../../sdp/parse.ts';
import { replaceSdp, type SdpSpan } from '../../sip/message/index.ts';
import type { SipMessage } from '../../sip/types.ts';
import { contactLine, ownResponse } from '../b2bua/compose.ts';
import { settle, startAssociations, takeAnswer } from '../media/answer.ts';
import { takeOffer } from '../media/offer.ts';
import { renderAnswer, renderOffer } from '../media/render.ts';
import { asAnswer, mentionsDataChannel, stamp } from '../media/said.ts';
import { forkSdp, newMediaState } from '../media/state.ts';
import { respond2xx } from './acknowledge.ts';
import { reconcile, thaw } from './mrm.ts';
import { readSdp } from './negotiate.ts';
import { channels, notify } from './notify.ts';
import { sessionKept } from './session-timer.ts';
import { learnMultiplexing, note, type Turn } from './turn.ts';
import { type Exchange, type Held, type LegName, otherLeg } from './types.ts';

/**
 * SDP came back in a response (or an ACK, a PRACK) from the leg opposite `offerer`. Returns the body that the offerer
 * gets. Nothing waits: the MF is told while the message goes on (R5, R15).
 */
export function answerArrived(turn: Turn, offerer: LegName, fork: number, body: string, span: SdpSpan): string {
  const { call, env } = turn;
  const { media } = call;
  if (media === null) return body;
  thaw(turn);
  const far = otherLeg(offerer);
  const sdp = forkSdp(media, fork);
  const text = own(body.slice(span.start, span.end));
  const repeated = sdp[far].offerAnswer;
  if (repeated.state === 'stable') {
    // A 1xx told it already; the 2xx repeats it (RFC 3261 13.2.1), and so do retransmissions.
    const said = sdp[offerer].sent;
    if (repeated.agreed === undefined || said === null) return body;
    if (repeated.agreed.remote === text) return replaceSdp(body, span, said.text);
    sdp[far].offerAnswer = { state: 'offerSent', offer: repeated.agreed.local };
    sdp[offerer].offerAnswer = reopened(sdp[offerer].offerAnswer);
  }
  const sent = sdp[far].offerAnswer;
  const received = sdp[offerer].offerAnswer;
  if (sent.state !== 'offerSent' || received.state !== 'offerReceived') return body;
  const answered = readSdp(turn, text);
  if (answered === undefined) return body;
  for (const problem of takeAnswer(media, far, fork, parseSessionDescription(sent.offer), answered, env.config))
    note(turn, problem);
  sdp[far].offerAnswer = answerReceived(sent, text);
  const reply = renderAnswer(media, offerer, fork, parseSessionDescription(received.offer), answered, env.config);
  const stamped = stamp(media, offerer, fork, reply, () => env.random(4));
  sdp[offerer].offerAnswer = answerSent(received, stamped.text);
  startAssociations(media, fork);
  return replaceSdp(body, span, stamped.text);
}

/** An unreliable 1xx promised something else than the final answer: that one counts. */
function reopened(state: OfferAnswer): OfferAnswer {
  return state.state === 'stable' && state.agreed !== undefined
    ? { state: 'offerReceived', offer: state.agreed.remote }
    : state;
}

/** The offer/answer is final. Lines that ended with it leave the MF; the DCSF learns what stands. True: some ended. */
export function negotiated(turn: Turn, fork: number, initiator: LegName): boolean {
  const { call } = turn;
  const { media } = call;
  // Not those that wait for an MF: an INVITE without SDP passes them by.
  if (call.negotiation.step === 'awaitingAnswer') call.negotiation = { step: 'stable' };
  if (media === null) return false;
  // Our offer to that leg has not gone out yet: what was agreed there before says nothing of its lines now.
  const waiting = call.queue.flatMap((intention) => (intention.kind === 'reoffer' ? [intention.leg] : []));
  const ended = settle(media, fork, waiting);
  call.record.dataChannelLines = media.lines.filter((line) => line.dataChannel && line.state === 'open').length;
  reconcile(turn);
  const established = call.state === 'established';
  if (ended.length > 0)
    notify(
      turn,
      'MEDIA_CHANGE_FAILURE',
      initiator,
      Object.fromEntries(ended.map((id) => [id, { mediaId: id, mediaType: 'DC' }])),
    );
  notify(
    turn,
    established ? 'MEDIA_CHANGE_SUCCESS' : 'SESSION_ESTABLISHMENT_SUCCESS',
    initiator,
    channels(media.lines),
  );
  return ended.length > 0;
}

/** R19: nothing changes for the other leg, so the other peer is not bothered. */
export function answerAlone(turn: Turn, exchange: Exchange, held: Held, message: SipMessage): void {
  const { call, env } = turn;
  const media = call.media!;
  const sdp = forkSdp(media, held.fork);
  const received = sdp[held.from].offerAnswer;
  const far = sdp[otherLeg(held.from)].offerAnswer;
  if (received.state !== 'offerReceived' || far.agreed === undefined) return;
  const offer = parseSessionDescription(received.offer);
  const said = asAnswer(media, held.from, held.fork, offer, parseSessionDescription(far.agreed.remote));
  const reply = renderAnswer(media, held.from, held.fork, offer, said, env.config);
  const stamped = stamp(media, held.from, held.fork, reply, () => env.random(4));
  sdp[held.from].offerAnswer = answerSent(received, stamped.text);
  startAssociations(media, held.fork);
  exchange.raw = '';
  const dialog = call.forks[held.fork]!.dialogs[held.from];
  const headers =
    contactLine(call.legs[held.from], call, env, dialog.nextHop) +
    (message.first('supported') === undefined ? '' : message.span('supported')) +
    (sessionKept(turn, held.from, message) ?? '') +
    'Content-Type: application/sdp\r\n';
  respond2xx(turn, exchange, 200, ownResponse(exchange, 200, dialog.localTag, headers, stamped.text), held.fork, true);
  negotiated(turn, held.fork, held.from);
}

/**
 * The first SDP of an exchange came in a response: it is the offer (delayed offer). Nothing may wait there, so its new
 * data channel lines are answered with port 0 (R18) and unknown to the other side.
 */
export function lateOfferArrived(turn: Turn, from: LegName, fork: number, body: string, span: SdpSpan): string {
  const { call, env } = turn;
  if (call.media === null && !mentionsDataChannel(body, span.start, span.end)) return body;
  const text = own(body.slice(span.start, span.end));
  const offer = readSdp(turn, text);
  if (offer === undefined) return body;
  call.media ??= newMediaState(call.caller);
  call.plain = null;
  const { media } = call;
  const near = otherLeg(from);
  const sdp = forkSdp(media, fork);
  if (
    sdp[from].offerAnswer.state === 'offerReceived' &&
    sdp[from].offerAnswer.offer === text &&
    sdp[near].sent !== null
  ) {
    return replaceSdp(body, span, sdp[near].sent.text);
  }
  if (sdp[from].offerAnswer.state !== 'stable' || sdp[near].offerAnswer.state !== 'stable') return body;
  thaw(turn);
  learnMultiplexing(turn, from);
  const reading = takeOffer(media, from, fork, offer, env.config);
  for (const line of reading.asked) if (line.treatment === 'undecided') line.treatment = 'refused';
  for (const problem of reading.notes) note(turn, problem);
  sdp[from].offerAnswer = offerReceived(sdp[from].offerAnswer, text);
  const sent = stamp(media, near, fork, renderOffer(media, near, fork, offer, env.config), () => env.random(4));
  sdp[near].offerAnswer = offerSent(sdp[near].offerAnswer, sent.text);
  return replaceSdp(body, span, sent.text);
}
