import { ImsdcError } from '../errors.ts';

/**
 * Offer/answer of one dialog or session (RFC 3264, RFC 6337): at most one open offer, so a state with three values.
 * Descriptions are texts: plain data for the call record, and an SDP that cannot be parsed (R24) is negotiated like
 * any other. Parse when needed, it costs microseconds; keep `Owned` texts.
 */
export type OfferAnswer =
  | { readonly state: 'stable'; readonly agreed?: Agreed }
  /** We offered; the peer's answer is due. */
  | { readonly state: 'offerSent'; readonly offer: string; readonly agreed?: Agreed }
  /** The peer offered; our answer is due. */
  | { readonly state: 'offerReceived'; readonly offer: string; readonly agreed?: Agreed };

/** The last completed exchange. Absent before the first. */
export interface Agreed {
  readonly local: string;
  readonly remote: string;
  /** Who offered: `3gpp-bdc-used-by` in both texts is relative to that side (R8). */
  readonly offerer: 'local' | 'remote';
}

export const NEW_OFFER_ANSWER: OfferAnswer = { state: 'stable' };

/** @throws ImsdcError SDP_OFFER_PENDING (491) unless stable */
export function offerSent(state: OfferAnswer, offer: string): OfferAnswer {
  requireStable(state);
  return { state: 'offerSent', offer, ...agreedOf(state) };
}

/**
 * @throws ImsdcError SDP_OFFER_PENDING unless stable; the caller answers 491 to a re-INVITE or UPDATE that meets our
 * own offer, 500 with Retry-After to one that meets the peer's (RFC 6337 4.2.2)
 */
export function offerReceived(state: OfferAnswer, offer: string): OfferAnswer {
  requireStable(state);
  return { state: 'offerReceived', offer, ...agreedOf(state) };
}

/** @throws ImsdcError SDP_NO_OFFER unless an offer was received */
export function answerSent(state: OfferAnswer, answer: string): OfferAnswer {
  if (state.state !== 'offerReceived') throw new ImsdcError('SDP_NO_OFFER', { state: state.state });
  return { state: 'stable', agreed: { local: answer, remote: state.offer, offerer: 'remote' } };
}

/** @throws ImsdcError SDP_NO_OFFER unless an offer was sent */
export function answerReceived(state: OfferAnswer, answer: string): OfferAnswer {
  if (state.state !== 'offerSent') throw new ImsdcError('SDP_NO_OFFER', { state: state.state });
  return { state: 'stable', agreed: { local: state.offer, remote: answer, offerer: 'local' } };
}

/** The offer was refused or withdrawn (4xx-6xx, CANCEL): what was agreed before stands (RFC 3264 8, RFC 6337 3.4). */
export function offerFailed(state: OfferAnswer): OfferAnswer {
  return { state: 'stable', ...agreedOf(state) };
}

function requireStable(state: OfferAnswer): void {
  if (state.state !== 'stable') throw new ImsdcError('SDP_OFFER_PENDING', { state: state.state });
}

function agreedOf(state: OfferAnswer): { agreed?: Agreed } {
  return state.agreed === undefined ? {} : { agreed: state.agreed };
}
