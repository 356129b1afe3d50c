import { own, ownJoined } from '../../base/owned.ts';
import { parseAddress } from '../../sip/message/index.ts';
import type { SipMessage } from '../../sip/types.ts';

/** A From or To value without its tag: what the requests of a whole leg share. */
export function withoutTag(value: string): string {
  const close = value.lastIndexOf('>');
  const at = value.toLowerCase().indexOf(';tag=', close < 0 ? 0 : close);
  if (at < 0) return value;
  const end = value.indexOf(';', at + 1);
  return end < 0 ? value.slice(0, at) : value.slice(0, at) + value.slice(end);
}

/** URI of the first Contact; undefined when there is none that can be read. */
export function contactUri(message: SipMessage): string | undefined {
  return message.contact?.uri;
}

/**
 * The header parameters of the first Contact, each with its semicolon: feature tags such as
 * `;+sip.app-subtype="webrtc-datachannel"` must reach the other side (R21). `q` and `expires` are about the address
 * that we replace.
 */
export function contactParams(message: SipMessage): string {
  let text = '';
  for (const [name, param] of message.contact?.params ?? []) {
    if (name === 'q' || name === 'expires') continue;
    text += param === undefined ? `;${name}` : `;${name}=${param}`;
  }
  return text;
}

/** `+sip.app-subtype` names the data channel (TS 26.114 6.2.10.1, 23.228 AC.7.0). */
export function supportsDataChannel(contactParams: string): boolean {
  return /;\+sip\.app-subtype="[^"]*webrtc-datachannel/i.test(contactParams);
}

/** Rel-19 (TS 26.114 6.2.10.1): several far ends on one data channel line, hop by hop: between a UE and its network. */
export const MULTIPLEXING_TAG = '+g.3gpp.dc-mux';

export function supportsMultiplexing(contactParams: string): boolean {
  return /;\+g\.3gpp\.dc-mux(?![\w.-])/i.test(contactParams);
}

/**
 * The parameters of the Contact that we show to a peer: those of the other side (R21), but for the multiplexing tag,
 * which is a matter of one hop: there it is ours.
 */
export function shownParams(ofOther: string, multiplexing: boolean): string {
  const rest = supportsMultiplexing(ofOther)
    ? ofOther.replace(/;\+g\.3gpp\.dc-mux(?:="[^"]*"|=[^;]*)?(?=;|$)/gi, '')
    : ofOther;
  return multiplexing ? `${rest};${MULTIPLEXING_TAG}` : rest;
}

/** The route set of a dialog as one Route line, and its first URI. */
export interface RouteSet {
  readonly line: string;
  readonly nextHop: string;
}

/** From Record-Route (RFC 3261 12.1): in order as UAS, reversed as UAC. `target` is the next hop without routes. */
export function routeSet(message: SipMessage, role: 'uas' | 'uac', target: string): RouteSet {
  const routes = message.list('record-route');
  if (routes.length === 0) return { line: '', nextHop: target };
  if (role === 'uac') routes.reverse();
  return {
    line: ownJoined(['Route: ', routes.join(', '), '\r\n'], ''),
    nextHop: own(parseAddress(routes[0]!)?.uri ?? target),
  };
}

/** The identity that the network vouches for, else From (24.229 5.7). */
export function assertedIdentity(message: SipMessage): string {
  const asserted = message.list('p-asserted-identity')[0] ?? message.first('from') ?? '';
  return parseAddress(asserted)?.uri ?? '';
}
