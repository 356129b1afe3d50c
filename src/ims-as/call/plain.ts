import { own } from '../../base/owned.ts';
import { parseSessionDescription } from '../../sdp/parse.ts';
import { occupySlot, vacateSlot } from '../../sdp/slots.ts';
import type { SdpSpan } from '../../sip/message/index.ts';
import { supportsDataChannel } from '../b2bua/party.ts';
import { hashPlain, stamp } from '../media/said.ts';
import { forkSdp, newMediaState } from '../media/state.ts';
import { type MediaLine, NO_IDS, NO_STREAMS } from '../media/types.ts';
import { readSdp } from './negotiate.ts';
import { notify } from './notify.ts';
import { note, type Turn } from './turn.ts';
import { type LegName, otherLeg } from './types.ts';

/**
 * Calls without data channels, to which the network may add one (23.228 AC.7.2.2, A2P): their SDP passes unread, and
 * what was agreed is kept as text, so that an offer of ours can be made of it.
 */

/** The peer of `leg` has said this, in an offer or an answer, and the call has no data channel. */
export function heardPlain(turn: Turn, leg: LegName, body: string, span: SdpSpan, as: 'offer' | 'answer'): void {
  const { call, env } = turn;
  call.said[leg] = hashPlain(body, span.start, span.end);
  const { plain } = call;
  // An established call that has none is one to which the network adds nothing.
  if (!env.config.networkInitiated || (plain === null && call.state !== 'establishing')) return;
  const text = own(body.slice(span.start, span.end));
  const { agreed, told = false } = plain ?? {};
  if (as === 'offer') call.plain = { offerer: leg, offer: text, answer: '', agreed, told };
  else if (plain !== null && plain.offerer !== leg) {
    const { offer, offerer } = plain;
    call.plain = { offerer, offer, answer: text, agreed: { offerer, offer, answer: text }, told };
  }
}

/** The call is up, or its late offer is answered: the DCSF may know of it, if the served user has data channels. */
export function tellOfPlain(turn: Turn): void {
  const { call } = turn;
  if (call.media !== null || call.plain === null || call.plain.told) return;
  if (!supportsDataChannel(call.legs[otherLeg('served')].contactParams)) {
    call.plain = null;
    return;
  }
  if (call.plain.agreed === undefined) return;
  call.plain = { ...call.plain, told: true };
  notify(turn, 'SESSION_ESTABLISHMENT_SUCCESS', call.caller, {});
}

/** From now on the call has media lines: those that both peers agreed on, untouched. False: they are not known. */
export function beginMedia(turn: Turn): boolean {
  const { call, env } = turn;
  const agreed = call.plain?.agreed;
  if (call.state !== 'established' || agreed === undefined) return false;
  const [offer, answer] = [readSdp(turn, agreed.offer), readSdp(turn, agreed.answer)];
  if (offer === undefined || answer === undefined || offer.media.length !== answer.media.length) return false;
  const media = newMediaState(call.caller);
  for (const [slot, section] of offer.media.entries()) {
    const id = `m${media.nextSerial++}`;
    const live = section.port !== 0 && answer.media[slot]!.port !== 0;
    for (const leg of ['served', 'remote'] as const) {
      media.slots[leg] = occupySlot(media.slots[leg], slot, id);
      if (!live) media.slots[leg] = vacateSlot(media.slots[leg], slot);
    }
    media.lines.push({ ...passing(id, section.media, agreed.offerer, slot), state: live ? 'open' : 'closed' });
  }
  call.media = media;
  call.plain = null;
  const sdp = forkSdp(media, call.winner);
  for (const leg of ['served', 'remote'] as const) {
    const isOfferer = agreed.offerer === leg;
    const [remote, local] = isOfferer ? [agreed.offer, agreed.answer] : [agreed.answer, agreed.offer];
    sdp[leg].offerAnswer = { state: 'stable', agreed: { local, remote, offerer: isOfferer ? 'remote' : 'local' } };
    stamp(media, leg, call.winner, parseSessionDescription(local), () => env.random(4));
  }
  note(turn, 'data channels begin at the instance of the network');
  return true;
}

function passing(id: string, media: string, born: LegName, slot: number): MediaLine {
  return {
    id,
    media,
    dataChannel: false,
    born,
    slots: { served: slot, remote: slot },
    treatment: 'pass',
    state: 'open',
    streams: NO_STREAMS,
    proposed: NO_STREAMS,
    withheld: NO_IDS,
    carriedBy: '',
    spec: null,
    ends: { served: null, remote: null },
    failed: false,
  };
}
