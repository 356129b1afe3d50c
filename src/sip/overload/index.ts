/** Overload control: token buckets, shedding, RFC 7339 feedback. */
export { OverloadControl, type OverloadOptions } from './control.ts';
export { offersLossControl } from './feedback.ts';
export { TokenBuckets } from './token-bucket.ts';
