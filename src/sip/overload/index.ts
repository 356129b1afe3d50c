/** Overload control: token buckets, shedding, RFC 7339 feedback. */
export { OverloadControl, type OverloadOptions } from './control.ts';
export { LOSS_CONTROL_OFFER, offersLossControl } from './feedback.ts';
export { NextHopLoad } from './next-hops.ts';
export { TokenBuckets } from './token-bucket.ts';
