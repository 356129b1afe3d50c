import { parseUri } from '../../sip/message/uri.ts';

/**
 * One subscription of the lab: its public identities form one implicit registration set (TS 23.228 5.2.1a), so a
 * REGISTER of the first registers all of them.
 */
export interface Subscription {
  /** The first one is the default identity: what P-Asserted-Identity and P-Served-User carry. */
  readonly identities: readonly string[];
}

/**
 * A public identity in the form that is compared: `sip:alice@ims.lab` (host in lower case, no port, no parameters)
 * or `tel:+493012345` (no visual separators). A SIP URI with `user=phone` and a global number is that tel URI
 * (TS 23.003 13.4A). undefined when it is neither.
 */
export function canonicalIdentity(text: string): string | undefined {
  const uri = parseUri(text);
  if (uri?.kind === 'tel') return `tel:${uri.number.replace(/[-.()]/g, '')}`;
  if (uri?.kind !== 'sip' || uri.user === undefined) return undefined;
  const number = uri.user.split(';', 1)[0]!.replace(/[-.()]/g, '');
  if (uri.params.get('user') === 'phone' && /^\+\d+$/.test(number)) return `tel:${number}`;
  return `sip:${uri.user}@${uri.host.toLowerCase()}`;
}

/** Who the lab's users are. Unknown users of the home domain are taken in as they come: it is a lab. */
export class SubscriberDirectory {
  readonly homeDomain: string;
  readonly #sets = new Map<string, readonly string[]>();

  constructor(homeDomain: string, subscriptions: readonly Subscription[]) {
    this.homeDomain = homeDomain.toLowerCase();
    for (const { identities } of subscriptions) {
      const set = identities.map((identity) => canonicalIdentity(identity) ?? identity);
      for (const identity of set) this.#sets.set(identity, set);
    }
  }

  /** The implicit registration set of `identity`, default identity first; undefined for strangers. */
  identitiesOf(identity: string): readonly string[] | undefined {
    const canonical = canonicalIdentity(identity);
    if (canonical === undefined) return undefined;
    return this.#sets.get(canonical) ?? (this.isHome(canonical) ? [canonical] : undefined);
  }

  /** The default identity of the subscription that `identity` belongs to. */
  subscriber(identity: string): string | undefined {
    return this.identitiesOf(identity)?.[0];
  }

  isHome(identity: string): boolean {
    const canonical = canonicalIdentity(identity);
    return canonical !== undefined && (this.#sets.has(canonical) || canonical.endsWith(`@${this.homeDomain}`));
  }
}
