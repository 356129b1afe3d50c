import { parseSessionDescription } from '../../sdp/parse.ts';
import type { OpenOffer } from '../media/instructions.ts';
import { forkSdp } from '../media/state.ts';
import { deferredOffer, NO_EXCHANGE } from './deferred.ts';
import type { Turn } from './turn.ts';
import type { Held } from './types.ts';

/** The offer that is held, as instructions and repairs inside its barrier see it. */
export function openOffer(turn: Turn, held: Held): OpenOffer | undefined {
  const { offerAnswer } = forkSdp(turn.call.media!, held.fork)[held.from];
  const offer =
    offerAnswer.state === 'offerReceived' ? parseSessionDescription(offerAnswer.offer) : deferredOffer(turn, held);
  const isAnswerable = held.exchange !== NO_EXCHANGE;
  return offer === undefined ? undefined : { from: held.from, fork: held.fork, offer, isAnswerable };
}
