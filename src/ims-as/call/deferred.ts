import { parseSessionDescription } from '../../sdp/parse.ts';
import { vacateSlot } from '../../sdp/slots.ts';
import { supportsDataChannel } from '../b2bua/party.ts';
import { takeOffer } from '../media/offer.ts';
import { close, forkSdp, lineById, restore, snapshot } from '../media/state.ts';
import { decideRest } from '../media/undecided.ts';
import { thaw } from './mrm.ts';
import { notify, offeredMedia } from './notify.ts';
import { queueReoffers } from './reoffer.ts';
import { arm, disarm, note, type Turn } from './turn.ts';
import { type Call, type Held, type Intention, type LegName, MAX_INTENTIONS, otherLeg } from './types.ts';

/** `Held.exchange` of an offer that no request brings: nobody waits for its answer. */
export const NO_EXCHANGE = -1;

/** An offer in a 2xx brought data channels, which had to be answered with port 0: they are looked at once the ACK is out (R18). */
export function deferChannels(turn: Turn, leg: LegName) {
  const { queue } = turn.call;
  if (queue.length < MAX_INTENTIONS) queue.push({ kind: 'deferred', leg });
}

/** Asks the DCSF about them as if the peer of `leg` had offered them now. */
export function askAboutDeferred(turn: Turn, leg: LegName) {
  const { call, env } = turn;
  const { media } = call;
  const agreed = media?.sdp[call.winner]?.[leg].offerAnswer.agreed;
  if (media === null || agreed === undefined) return;
  thaw(turn);
  const rollback = snapshot(media);
  const offer = parseSessionDescription(agreed.remote);
  const reading = takeOffer(media, leg, call.winner, offer, env.config);
  if (reading.asked.length === 0) {
    restore(media, rollback);
    return;
  }
  const deadlineMs = env.nowMs + env.config.dcsfBudgetMs;
  const notifyId = notify(turn, 'MEDIA_CHANGE_REQUEST', leg, offeredMedia(media, leg, offer, env.config), deadlineMs);
  const held: Held = {
    exchange: NO_EXCHANGE,
    from: leg,
    fork: call.winner,
    asked: reading.asked.map((line) => line.id),
    otherChanges: true,
    sinceMs: env.nowMs,
  };
  call.negotiation = { step: 'heldForDcsf', held, notifyId, deadlineMs, rollback };
  arm(turn, 'barrier', deadlineMs);
}

/**
 * The DCSF has answered: lines that end at our MF, on one leg or on both, are offered by re-INVITE. The peer opposite is
 * asked first: what it refuses is never offered to the one that wanted it. A line that is end to end waits until its own
 * peer offers it again: fingerprint and tls-id are that peer's to say, and those of a refused line are gone (RFC 8842 5).
 */
export function offerDeferred(turn: Turn, held: Held) {
  const { call } = turn;
  const media = call.media!;
  const far = otherLeg(held.from);
  disarm(turn, 'barrier');
  call.negotiation = { step: 'stable' };
  decideRest(media);
  for (const id of held.asked) {
    const line = lineById(media, id);
    const isRelayed = line?.treatment === 'relay';
    if (line === undefined || line.treatment === 'terminate' || (isRelayed && mayHaveDataChannels(call, far))) continue;
    const why = isRelayed ? `${far} has no data channels` : 'not ours to offer';
    note(turn, `${id}: came with a 2xx, and ${line.treatment === 'refused' ? 'is refused' : why}`);
    close(media, line);
    media.slots[held.from] = vacateSlot(media.slots[held.from], line.slots[held.from]);
  }
  queueReoffers(turn);
  offerFirst(call, far);
}

/** R23. A caller says in its first Contact whether it has them (23.228 AC.7.0). */
function mayHaveDataChannels(call: Call, leg: LegName): boolean {
  if (leg !== call.caller) return call.calleeSupportsDataChannel !== false;
  // What we show to one side is what the other side said.
  return supportsDataChannel(call.legs[otherLeg(leg)].contactParams);
}

/** Of the offers that wait, those to `leg` go before those to the other one. */
function offerFirst(call: Call, leg: LegName) {
  const isLater = (intention: Intention) => intention.kind === 'reoffer' && intention.leg !== leg;
  call.queue = [...call.queue.filter((one) => !isLater(one)), ...call.queue.filter(isLater)];
}

/** The offer of the deferred lines, as long as they wait. */
export function deferredOffer(turn: Turn, held: Held) {
  const agreed = forkSdp(turn.call.media!, held.fork)[held.from].offerAnswer.agreed;
  return agreed === undefined ? undefined : parseSessionDescription(agreed.remote);
}
