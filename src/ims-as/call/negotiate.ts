import { own } from '../../base/owned.ts';
import { ImsdcError } from '../../errors.ts';
import { offerFailed, offerReceived, offerSent } from '../../sdp/offer-answer.ts';
import { parseSessionDescription } from '../../sdp/parse.ts';
import type { SessionDescription } from '../../sdp/types.ts';
import { findSdp, replaceSdp, type SdpSpan } from '../../sip/message/index.ts';
import type { SipMessage } from '../../sip/types.ts';
import { renewAtDcAs } from '../media/dc-as.ts';
import { takeOffer } from '../media/offer.ts';
import { renderOffer } from '../media/render.ts';
import { hashPlain, mentionsDataChannel, saysTheSame, stamp } from '../media/said.ts';
import { forkSdp, newMediaState, restore, snapshot, withdrawFrom } from '../media/state.ts';
import type { MediaSnapshot, MediaState } from '../media/types.ts';
import { decideRest } from '../media/undecided.ts';
import { answerAlone } from './answer.ts';
import { NO_EXCHANGE, offerDeferred } from './deferred.ts';
import { reconcile, thaw } from './mrm.ts';
import { notify, offeredMedia } from './notify.ts';
import { passOn } from './pass.ts';
import { heardPlain } from './plain.ts';
import { queueReoffers } from './reoffer.ts';
import { repairInside } from './repair.ts';
import { sessionKept } from './session-timer.ts';
import { answer, arm, disarm, exchangeById, heldMessage, hold, learnMultiplexing, note, type Turn } from './turn.ts';
import { type Exchange, type Held, type LegName, otherLeg } from './types.ts';

/**
 * An offer came with `exchange`. Without data channel lines, now or before, its bytes pass. Otherwise the DCSF is
 * asked about new ones, and the request is held until it has answered (network-side.md 2.0).
 */
export function offerArrived(turn: Turn, exchange: Exchange, message: SipMessage, span: SdpSpan) {
  const { call, env } = turn;
  const { body } = message;
  exchange.sdp = 'offer';
  if (call.media === null && !mentionsDataChannel(body, span.start, span.end)) {
    heardPlain(turn, exchange.from, body, span, 'offer');
    return passOn(turn, exchange, message, body);
  }
  const text = own(body.slice(span.start, span.end));
  const offer = readSdp(turn, text);
  if (offer === undefined) {
    // R24: it passes on as it is; only slots that we have moved make that impossible.
    if (call.media === null) return passOn(turn, exchange, message, body);
    return answer(turn, exchange, 488);
  }
  const leg = exchange.from;
  const wasPlain = call.media === null;
  call.media ??= newMediaState(call.caller);
  call.plain = null;
  const { media } = call;
  const state = forkSdp(media, exchange.fork)[leg];
  if (call.negotiation.step !== 'stable' || state.offerAnswer.state !== 'stable')
    return refuseSecondOffer(turn, exchange);

  thaw(turn);
  learnMultiplexing(turn, leg);
  const rollback = snapshot(media);
  const reading = takeOffer(media, leg, exchange.fork, offer, env.config);
  renewAtDcAs(media, env);
  state.offerAnswer = offerReceived(state.offerAnswer, text);
  for (const text of reading.notes) note(turn, text);
  hold(exchange, message);
  const held: Held = {
    exchange: exchange.id,
    from: leg,
    fork: exchange.fork,
    asked: reading.asked.map((line) => line.id),
    otherChanges: wasPlain ? saysOtherwise(call.said[leg], body, span) : reading.otherChanges,
    sinceMs: env.nowMs,
  };
  const deadlineMs = env.nowMs + env.config.dcsfBudgetMs;
  if (reading.asked.length > 0) {
    const event =
      exchange.method === 'INVITE' && call.state === 'establishing'
        ? 'SESSION_ESTABLISHMENT_REQUEST'
        : 'MEDIA_CHANGE_REQUEST';
    const notifyId = notify(turn, event, leg, offeredMedia(media, leg, offer, env.config), deadlineMs);
    call.negotiation = { step: 'heldForDcsf', held, notifyId, deadlineMs, rollback };
    return arm(turn, 'barrier', deadlineMs);
  }
  if (reading.renewing) {
    call.negotiation = {
      step: 'heldForMf',
      held,
      notifyId: '',
      instructionId: '',
      deadlineMs,
      rollback,
      before: rollback,
      named: [],
    };
    media.context.dirty = true;
    if (media.context.lost === null) reconcile(turn, deadlineMs);
    else repairInside(turn, deadlineMs);
    return arm(turn, 'barrier', deadlineMs);
  }
  proceed(turn, held, rollback);
}

/** Whether anything but data channels changed since what `said` is a hash of; 0: that peer has said nothing yet. */
function saysOtherwise(said: number, body: string, span: SdpSpan): boolean {
  return said === 0 || said !== hashPlain(body, span.start, span.end);
}

/** RFC 6337 4.2: our own offer is open towards that peer: 491; its own is: 500 with a random wait. */
function refuseSecondOffer(turn: Turn, exchange: Exchange) {
  const { negotiation } = turn.call;
  const theirs =
    'held' in negotiation
      ? negotiation.held.from
      : negotiation.step === 'awaitingAnswer'
        ? negotiation.from
        : undefined;
  if (theirs === exchange.from)
    answer(turn, exchange, 500, `Retry-After: ${Number.parseInt(turn.env.random(1), 16) % 10}\r\n`);
  else answer(turn, exchange, 491);
}

/** Undefined: not readable; a note says why. */
export function readSdp(turn: Turn, text: string): SessionDescription | undefined {
  try {
    return parseSessionDescription(text);
  } catch (error) {
    if (!(error instanceof ImsdcError)) throw error;
    note(turn, error.message);
    return undefined;
  }
}

/** Everything about the offer is decided and reserved: it goes on to the other leg, or is answered here (R19). */
export function proceed(turn: Turn, held: Held, rollback: MediaSnapshot) {
  const { call, env } = turn;
  const media = call.media!;
  if (held.exchange === NO_EXCHANGE) return offerDeferred(turn, held);
  const exchange = exchangeById(call, held.exchange);
  disarm(turn, 'barrier');
  call.negotiation = { step: 'stable' };
  const message = exchange === undefined ? undefined : heldMessage(exchange);
  const span = message === undefined ? undefined : findSdp(message);
  if (exchange === undefined || message === undefined || span === undefined) return;
  call.record.heldMs = Math.max(call.record.heldMs, env.nowMs - held.sinceMs);
  const far = otherLeg(held.from);
  decideRest(media);
  if (call.calleeSupportsDataChannel === false && far !== call.caller) withdrawFrom(media, far);
  if (call.state === 'established' && isRefusedWholly(media, held)) {
    withdrawOffer(turn, held.from, held.fork, rollback);
    return answer(turn, exchange, 488);
  }
  const sdp = forkSdp(media, held.fork);
  const open = sdp[held.from].offerAnswer;
  if (open.state !== 'offerReceived') return;
  const offer = renderOffer(media, far, held.fork, parseSessionDescription(open.offer), env.config);
  if (mayAnswerAlone(turn, exchange, message) && saysTheSame(media, far, held.fork, offer)) {
    answerAlone(turn, exchange, held, message);
    reconcile(turn);
    return;
  }
  const sent = stamp(media, far, held.fork, offer, () => env.random(4));
  sdp[far].offerAnswer = offerSent(
    sdp[far].offerAnswer.state === 'stable' ? sdp[far].offerAnswer : offerFailed(sdp[far].offerAnswer),
    sent.text,
  );
  call.negotiation = { step: 'awaitingAnswer', exchange: exchange.id, from: held.from, rollback };
  if (exchange.method !== 'INVITE' || call.state === 'established') exchange.raw = '';
  passOn(turn, exchange, message, replaceSdp(message.body, span, sent.text));
  reconcile(turn);
}

/** R19; but a session refresh keeps the timers of both legs alive, so it goes through (RFC 4028). */
function mayAnswerAlone(turn: Turn, exchange: Exchange, message: SipMessage): boolean {
  const canAnswer = exchange.method === 'INVITE' || exchange.method === 'UPDATE';
  if (!canAnswer || turn.call.state !== 'established') return false;
  return message.first('session-expires') === undefined && sessionKept(turn, exchange.from, message) !== undefined;
}

/** 24.186 9.3.2.2.2: all that changed were data channels, and all of them were refused. */
function isRefusedWholly(media: MediaState, held: Held): boolean {
  if (held.asked.length === 0 || held.otherChanges) return false;
  if (media.lines.some((line) => line.state === 'closing')) return false;
  return held.asked.every((id) => media.lines.find((line) => line.id === id)?.treatment === 'refused');
}

/** The offer is off (4xx-6xx, 488, CANCEL): what was agreed before stands on both legs (RFC 3264 8). */
export function withdrawOffer(turn: Turn, from: LegName, fork: number, rollback: MediaSnapshot) {
  const { call } = turn;
  const { media } = call;
  if (media === null) return;
  const sdp = forkSdp(media, fork);
  const far = otherLeg(from);
  sdp[from].offerAnswer = offerFailed(sdp[from].offerAnswer);
  sdp[far].offerAnswer = offerFailed(sdp[far].offerAnswer);
  const isUnheard = restore(media, rollback);
  if (isUnheard && call.state === 'established') queueReoffers(turn);
  reconcile(turn);
}

/** The exchange of an open offer ended without an answer. */
export function offerRefused(turn: Turn, exchange: Exchange) {
  const { call } = turn;
  const { negotiation } = call;
  if (negotiation.step !== 'awaitingAnswer' || negotiation.exchange !== exchange.id) return;
  call.negotiation = { step: 'stable' };
  withdrawOffer(turn, negotiation.from, exchange.fork < 0 ? 0 : exchange.fork, negotiation.rollback);
  if (call.state === 'established' && exchange.purpose === 'relay')
    notify(turn, 'MEDIA_CHANGE_FAILURE', negotiation.from, {});
}
