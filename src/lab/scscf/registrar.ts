import type { Owned } from '../../base/owned.ts';
import { own } from '../../base/owned.ts';
import { parseAddress } from '../../sip/message/address.ts';
import { parseUri, uriEquals } from '../../sip/message/uri.ts';
import { parseDeltaSeconds } from '../../sip/message/values.ts';
import type { Flow, SipMessage } from '../../sip/types.ts';

/** Where one of a subscriber's devices can be reached (RFC 3261 10.3). */
export interface Binding {
  readonly contactUri: Owned;
  /** The Contact value as the device wrote it, feature tags included, without its `expires`. */
  readonly contact: Owned;
  /** +sip.app-subtype="webrtc-datachannel": the device speaks IMS data channels (TS 23.228 AC.7.0). */
  readonly dataChannels: boolean;
  readonly callId: Owned;
  readonly cseq: number;
  readonly expiresAtMs: number;
  /** How the REGISTER came: a stream is used again. */
  readonly flow: Flow;
}

export type RegisterOutcome =
  | { readonly status: 200; readonly bindings: readonly Binding[] }
  | { readonly status: 400 | 423 | 500; readonly reason: string };

export interface RegistrarLimits {
  readonly minExpiresS: number;
  readonly defaultExpiresS: number;
  readonly maxExpiresS: number;
}

/** Devices per subscriber; the oldest goes when one more comes. */
const MAX_BINDINGS = 8;

/** The bindings of every subscriber. Pure: time comes with each call, expired bindings go when they are met. */
export class Registrar {
  readonly #limits: RegistrarLimits;
  readonly #bindings = new Map<string, Binding[]>();

  constructor(limits: RegistrarLimits) {
    this.#limits = limits;
  }

  /** Applies a REGISTER of `subscriber`; the outcome is all or nothing (RFC 3261 10.3 step 7). */
  register(subscriber: string, request: SipMessage, flow: Flow, nowMs: number): RegisterOutcome {
    const current = this.bindings(subscriber, nowMs);
    const contacts = request.list('contact');
    const headerExpires = parseDeltaSeconds(request.first('expires') ?? '');
    if (contacts.length === 0) return { status: 200, bindings: current };
    if (contacts.some((contact) => contact.trim() === '*')) {
      if (contacts.length > 1 || headerExpires !== 0)
        return refuse(400, 'Contact * needs Expires: 0 and no other Contact');
      return this.#store(
        subscriber,
        current.filter((binding) => isNewer(binding, request)),
        nowMs,
      );
    }
    let next = [...current];
    for (const text of contacts) {
      const address = parseAddress(text);
      const uri = address && parseUri(address.uri);
      if (!address || !uri) return refuse(400, `Contact '${text.slice(0, 80)}' cannot be read`);
      const asked = parseDeltaSeconds(address.params.get('expires') ?? '') ?? headerExpires;
      const seconds = Math.min(asked ?? this.#limits.defaultExpiresS, this.#limits.maxExpiresS);
      if (seconds > 0 && seconds < this.#limits.minExpiresS) return refuse(423, 'Interval Too Brief');
      const old = next.find((binding) => uriEquals(parseUri(binding.contactUri)!, uri));
      if (old && isNewer(old, request)) return refuse(500, 'CSeq is not higher than that of the registration');
      next = next.filter((binding) => binding !== old);
      if (seconds > 0) next.unshift(makeBinding(text, address.uri, seconds, request, flow, nowMs));
    }
    return this.#store(subscriber, next.slice(0, MAX_BINDINGS), nowMs);
  }

  /** Live bindings, newest first. */
  bindings(subscriber: string, nowMs: number): readonly Binding[] {
    const all = this.#bindings.get(subscriber) ?? [];
    const live = all.filter((binding) => binding.expiresAtMs > nowMs);
    if (live.length !== all.length) this.#put(subscriber, live);
    return live;
  }

  get size(): number {
    return this.#bindings.size;
  }

  #store(subscriber: string, bindings: Binding[], nowMs: number): RegisterOutcome {
    this.#put(subscriber, bindings);
    return { status: 200, bindings: this.bindings(subscriber, nowMs) };
  }

  #put(subscriber: string, bindings: Binding[]): void {
    if (bindings.length === 0) this.#bindings.delete(subscriber);
    else this.#bindings.set(subscriber, bindings);
  }
}

/** Same REGISTER series and not a later one: RFC 3261 10.3 step 7 forbids going back. */
function isNewer(binding: Binding, request: SipMessage): boolean {
  return binding.callId === request.callId && binding.cseq >= request.cseq;
}

function makeBinding(
  text: string,
  contactUri: string,
  seconds: number,
  request: SipMessage,
  flow: Flow,
  nowMs: number,
): Binding {
  return {
    contactUri: own(contactUri),
    contact: own(text.replace(/;\s*expires\s*=\s*\d+/i, '').trim()),
    dataChannels: /;\s*\+sip\.app-subtype\s*=\s*"[^"]*webrtc-datachannel[^"]*"/i.test(text),
    callId: own(request.callId),
    cseq: request.cseq,
    expiresAtMs: nowMs + seconds * 1000,
    flow,
  };
}

function refuse(status: 400 | 423 | 500, reason: string): RegisterOutcome {
  return { status, reason };
}
