import type { ViaValue } from '../types.ts';

/** How long the upstream element obeys one value; responses come faster than that while there is load. */
const VALIDITY_MS = 1000;

/** In the Via of our requests (RFC 7339 4.1, 4.2): the next hop may tell us to send it less, by the loss algorithm. */
export const LOSS_CONTROL_OFFER = ';oc;oc-algo="loss"';

/** True when the topmost Via offers the loss algorithm, which every implementation has (RFC 7339 4.1, 4.2, 5.1). */
export function offersLossControl(via: ViaValue): boolean {
  if (!via.params.has('oc') || via.params.get('oc') !== undefined) return false;
  const algorithms = via.params.get('oc-algo');
  return algorithms === undefined || /(^|[",\s])loss($|[",\s])/i.test(algorithms);
}

/**
 * The parameters for the topmost Via of the responses (RFC 7339 4.3): drop that share of what you would send us. The
 * value is that of the moment when the request came in; `oc-seq` lets the peer see that a late 200 carries an old one.
 */
export function lossFeedback(fraction: number, nowMs: number): string {
  const seconds = Math.floor(nowMs / 1000);
  const sequence = `${seconds}.${String(nowMs % 1000).padStart(3, '0')}`;
  return `;oc=${Math.round(fraction * 100)};oc-algo="loss";oc-validity=${VALIDITY_MS};oc-seq=${sequence}`;
}
