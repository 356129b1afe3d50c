import { own } from '../../base/owned.ts';
import { type Agreed, answerReceived, offerSent } from '../../sdp/offer-answer.ts';
import { parseSessionDescription } from '../../sdp/parse.ts';
import type { SessionDescription } from '../../sdp/types.ts';
import { withUsedByFlipped } from '../../sdp/write-data-channel.ts';
import { findSdp } from '../../sip/message/index.ts';
import type { SipMessage } from '../../sip/types.ts';
import { startAssociations, takeAnswer } from '../media/answer.ts';
import { awaitsPeer, knowsOurEnd, withdrawReanchored } from '../media/lost.ts';
import { renderOffer } from '../media/render.ts';
import { saysTheSame, stamp } from '../media/said.ts';
import { close, forkSdp, snapshot } from '../media/state.ts';
import type { MediaState } from '../media/types.ts';
import { negotiated } from './answer.ts';
import { executeAlone } from './barrier.ts';
import { askAboutDeferred } from './deferred.ts';
import { releaseCall } from './end.ts';
import { thaw } from './mrm.ts';
import { offerRefused, readSdp } from './negotiate.ts';
import { knownChannel, notify } from './notify.ts';
import { repair } from './repair.ts';
import { acknowledge } from './responses.ts';
import { sendRequest } from './send-request.ts';
import { learnMinimum } from './session-timer.ts';
import { arm, dropExchange, note, type Turn } from './turn.ts';
import { type Exchange, type Fork, type LegName, MAX_INTENTIONS, otherLeg } from './types.ts';

/**
 * After something changed that the peers did not ask for: each leg gets an offer if its lines differ now.
 * `withdrawsFirst`: lines that were re-anchored go to port 0 before they come back as new ones.
 */
export function queueReoffers(turn: Turn, withdrawsFirst = false, legs: readonly LegName[] = ['served', 'remote']) {
  const { queue } = turn.call;
  for (const leg of legs) {
    const waiting = queue.some((intention) => intention.kind === 'reoffer' && intention.leg === leg);
    if (waiting || queue.length + 2 > MAX_INTENTIONS) continue;
    if (withdrawsFirst) queue.push({ kind: 'reoffer', leg, withdraws: true });
    queue.push({ kind: 'reoffer', leg });
  }
}

/** Starts what waits for the offer/answer slot, one at a time. Called at the end of every turn. */
export function runQueue(turn: Turn) {
  const { call } = turn;
  while (call.queue.length > 0 && isFree(turn)) {
    const next = call.queue.shift()!;
    if (next.kind === 'instruction') executeAlone(turn, next.id, next.data);
    else if (next.kind === 'deferred') askAboutDeferred(turn, next.leg);
    else if (next.kind === 'repair') repair(turn);
    else reoffer(turn, next.leg, next.attempt ?? 0, next.withdraws === true);
  }
}

/** RFC 3261 14.1: no INVITE may be open in the dialog, on either side. */
function isFree(turn: Turn): boolean {
  const { call } = turn;
  return (
    call.state === 'established' &&
    call.negotiation.step === 'stable' &&
    call.unacknowledged === null &&
    call.deadlines.glare === undefined &&
    !call.exchanges.some((exchange) => exchange.method === 'INVITE' || exchange.sdp === 'offer')
  );
}

function reoffer(turn: Turn, leg: LegName, attempt: number, withdraws: boolean) {
  const { call, env } = turn;
  const { media } = call;
  const fork = call.forks[call.winner];
  if (media === null || fork === undefined) return;
  const sdp = forkSdp(media, fork.index);
  const far = sdp[otherLeg(leg)].offerAnswer;
  if (far.agreed === undefined || sdp[leg].offerAnswer.state !== 'stable') return;
  thaw(turn);
  const rollback = snapshot(media);
  const rendered = renderOffer(media, leg, fork.index, asOffer(far.agreed), env.config);
  const offer = withdraws ? withdrawReanchored(media, leg, fork.index, rendered) : rendered;
  if (offer === undefined) return;
  const isAnswerDue = media.lines.some((line) => awaitsPeer(media, line, leg, fork.index));
  if (!isAnswerDue && saysTheSame(media, leg, fork.index, offer)) return;
  const sent = stamp(media, leg, fork.index, offer, () => env.random(4));
  sdp[leg].offerAnswer = offerSent(sdp[leg].offerAnswer, sent.text);
  const exchange = sendRequest(turn, {
    method: 'INVITE',
    purpose: 'reoffer',
    leg,
    fork,
    offer: sent.text,
    attempt,
    withdraws,
  });
  call.negotiation = { step: 'awaitingAnswer', exchange: exchange.id, from: otherLeg(leg), rollback };
}

/**
 * What the far peer said last, as the source of an offer: in an answer `3gpp-bdc-used-by` is relative to our side, who
 * offered then, in the offer that it becomes to the far one (R8).
 */
function asOffer({ remote, offerer }: Agreed): SessionDescription {
  const said = parseSessionDescription(remote);
  return offerer === 'remote' ? said : { ...said, media: said.media.map(withUsedByFlipped) };
}

/** The answer to an offer of ours. */
export function reofferAnswered(turn: Turn, exchange: Exchange, fork: Fork, message: SipMessage) {
  const { call, env } = turn;
  const leg = otherLeg(exchange.from);
  if (message.status < 200) return;
  dropExchange(call, exchange);
  if (message.status === 422) learnMinimum(turn, message);
  if (message.status >= 300) return reofferFailed(turn, exchange, message.status);
  acknowledge(turn, leg, fork, message.cseq);
  const { media } = call;
  const span = findSdp(message);
  if (media === null || call.state !== 'established') return;
  const state = forkSdp(media, fork.index)[leg];
  const text = span === undefined ? '' : own(message.body.slice(span.start, span.end));
  const answered = text === '' ? undefined : readSdp(turn, text);
  if (state.offerAnswer.state !== 'offerSent' || answered === undefined) return offerRefused(turn, exchange);
  const channels = channelCount(media);
  for (const problem of takeAnswer(
    media,
    leg,
    fork.index,
    parseSessionDescription(state.offerAnswer.offer),
    answered,
    env.config,
  ))
    note(turn, problem);
  state.offerAnswer = answerReceived(state.offerAnswer, text);
  startAssociations(media, fork.index);
  // What this peer did not want is over for the other one too.
  if (negotiated(turn, fork.index, exchange.from)) queueReoffers(turn);
  else if (channelCount(media) < channels) queueReoffers(turn, false, [exchange.from]);
}

function channelCount({ lines }: MediaState): number {
  return lines.reduce((sum, { state, streams }) => sum + (state === 'open' ? Object.keys(streams).length : 0), 0);
}

/** Offers of ours that meet one 491 after the other; then the peer does not want to hear it. */
const MAX_ATTEMPTS = 6;

/** What the peer was never told of, and now refused to hear, is over: new lines, and old ones that have moved. */
function dropRefused(turn: Turn, leg: LegName, fork: number) {
  const { media } = turn.call;
  if (media == null) return;
  const ended = media.lines.filter(
    (line) => line.state === 'open' && line.ends[leg] !== null && !knowsOurEnd(media, line, leg, fork),
  );
  if (ended.length === 0) return;
  for (const line of ended) close(media, line);
  notify(turn, 'MEDIA_CHANGE_FAILURE', leg, Object.fromEntries(ended.map((line) => [line.id, knownChannel(line)])));
  queueReoffers(turn);
}

/** 491: both sides offered at once; who made the Call-ID waits longer (RFC 3261 14.1). Other refusals stand. */
export function reofferFailed(turn: Turn, exchange: Exchange, status: number) {
  const { call, env } = turn;
  const leg = otherLeg(exchange.from);
  offerRefused(turn, exchange);
  note(turn, `our offer to ${leg} was answered ${status}`);
  // RFC 3261 12.2.1.2: that peer has no such call, so there is no voice to be kept.
  if (status === 481) return releaseCall(turn, `${leg} knows the call no more`);
  const attempt = (exchange.attempt ?? 0) + 1;
  const isPassing = status === 422 || status === 491 || status === 500 || status === 503;
  if (!isPassing || attempt > MAX_ATTEMPTS) return dropRefused(turn, leg, exchange.fork);
  const { withdraws = false } = exchange;
  if (call.queue.length < MAX_INTENTIONS) call.queue.unshift({ kind: 'reoffer', leg, attempt, withdraws });
  const wait = Number.parseInt(env.random(2), 16) / 65536;
  const ours = leg !== call.caller;
  arm(turn, 'glare', env.nowMs + Math.round((ours ? 2100 + wait * 1900 : wait * 2000) / 10) * 10);
}
