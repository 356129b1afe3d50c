import { offerFailed, offerSent } from '../../sdp/offer-answer.ts';
import { parseSessionDescription } from '../../sdp/parse.ts';
import { findSdp, replaceSdp } from '../../sip/message/index.ts';
import { renderOffer } from '../media/render.ts';
import { stamp } from '../media/said.ts';
import { forkSdp, reaches, withdrawFrom } from '../media/state.ts';
import { reconcile } from './mrm.ts';
import { passOn } from './pass.ts';
import { heldMessage, note, type Turn } from './turn.ts';
import { type Exchange, otherLeg } from './types.ts';

/**
 * The callee refused the first offer with 488, perhaps for its data lines: offered once more without them (R23). What
 * ends at our MF towards the caller stays. False: there was nothing to leave out.
 */
export function retryWithoutDataChannels(turn: Turn, exchange: Exchange): boolean {
  const { call, env } = turn;
  const { media } = call;
  const far = otherLeg(exchange.from);
  const { start } = call;
  if (media === null || start === null || exchange.retried || exchange.answered !== 0 || call.forks.length > 1)
    return false;
  if (!media.lines.some((line) => line.dataChannel && line.slots[far] >= 0 && reaches(line, far))) return false;
  const message = heldMessage(exchange);
  const span = message === undefined ? undefined : findSdp(message);
  const sdp = forkSdp(media, 0);
  const open = sdp[exchange.from].offerAnswer;
  if (message === undefined || span === undefined || open.state !== 'offerReceived') return false;
  note(turn, '488 with data channel lines: tried again without');
  exchange.retried = true;
  call.calleeSupportsDataChannel = false;
  withdrawFrom(media, far);
  const offer = renderOffer(media, far, 0, parseSessionDescription(open.offer), env.config);
  const sent = stamp(media, far, 0, offer, () => env.random(4));
  sdp[far].offerAnswer = offerSent(offerFailed(sdp[far].offerAnswer), sent.text);
  // The early dialog of a callee that rang first has ended with its 488 (RFC 3261 12.3): the retry starts anew.
  Object.assign(call.forks[0]!.dialogs[far], start, { remoteTag: '' });
  passOn(turn, exchange, message, replaceSdp(message.body, span, sent.text));
  reconcile(turn);
  return true;
}
