import { parseSessionDescription } from '../../sdp/parse.ts';
import { vacateSlot } from '../../sdp/slots.ts';
import { decideRest } from '../media/instructions.ts';
import { takeOffer } from '../media/offer.ts';
import { close, forkSdp, lineById, restore, snapshot } from '../media/state.ts';
import { thaw } from './mrm.ts';
import { notify, offeredMedia } from './notify.ts';
import { queueReoffers } from './reoffer.ts';
import { arm, disarm, note, type Turn } from './turn.ts';
import { type Held, type LegName, MAX_INTENTIONS } from './types.ts';

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
 * The DCSF has answered: what ends at our MF is offered to the peer by re-INVITE. The rest would need the other peer
 * too, and waits until it is offered again.
 */
export function offerDeferred(turn: Turn, held: Held) {
  const { call } = turn;
  const media = call.media!;
  disarm(turn, 'barrier');
  call.negotiation = { step: 'stable' };
  decideRest(media);
  for (const id of held.asked) {
    const line = lineById(media, id);
    if (line === undefined || line.treatment === 'terminate') continue;
    note(turn, `${id}: offered in a 2xx, and not ours to answer alone`);
    close(media, line);
    media.slots[held.from] = vacateSlot(media.slots[held.from], line.slots[held.from]);
  }
  queueReoffers(turn);
}

/** The offer of the deferred lines, as long as they wait. */
export function deferredOffer(turn: Turn, held: Held) {
  const agreed = forkSdp(turn.call.media!, held.fork)[held.from].offerAnswer.agreed;
  return agreed === undefined ? undefined : parseSessionDescription(agreed.remote);
}
