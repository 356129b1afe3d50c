/** Values of a=setup (RFC 4145 4). */
export type SetupValue = 'active' | 'passive' | 'actpass' | 'holdconn';

/** A role once it is settled: `active` sends the ClientHello (RFC 5763 5). */
export type DtlsRole = 'active' | 'passive';

/** A missing a=setup means this (RFC 4145 4). */
export function defaultSetup(description: 'offer' | 'answer'): DtlsRole {
  return description === 'offer' ? 'active' : 'passive';
}

export interface RolePreference {
  /** Our role when a UE without ICE leaves the choice to us. Default 'active': saves a round trip, as TS 26.114 A.17.5. */
  readonly withoutIce?: DtlsRole;
  /** Likewise for an offer with ICE. Default 'passive': our first ClientHello costs Firefox a second. */
  readonly withIce?: DtlsRole;
}

/** Our role for an `actpass` offer. */
export function preferredRole(offerHasIce: boolean, preference: RolePreference = {}): DtlsRole {
  return offerHasIce ? (preference.withIce ?? 'passive') : (preference.withoutIce ?? 'active');
}

/**
 * The a=setup of an answer, which is also the answerer's role. `current` is the answerer's role in a running
 * association that the offer keeps: then `actpass` changes nothing (RFC 8842 5.3). Leave it out when the offer
 * starts a new association. Undefined: the offer cannot be answered (`holdconn`).
 */
export function answerSetup(
  offered: SetupValue,
  choice: { readonly preferred: DtlsRole; readonly current?: DtlsRole },
): DtlsRole | undefined {
  switch (offered) {
    case 'active':
      return 'passive';
    case 'passive':
      return 'active';
    case 'actpass':
      return choice.current ?? choice.preferred;
    case 'holdconn':
      return undefined;
  }
}

/** The a=setup of our offer: the role we have where an association goes on (R19), else the peer's choice (RFC 5763 5). */
export function offerSetup(current?: DtlsRole): SetupValue {
  return current ?? 'actpass';
}

/**
 * The offerer's role after the answer. Undefined where the two do not fit (RFC 4145 4.1): both active, both passive
 * or `holdconn`. `actpass` in an answer is illegal but leaves the server's part with the answerer, so it is read as
 * 'passive'.
 */
export function offererRole(offered: SetupValue, answered: SetupValue): DtlsRole | undefined {
  if (offered === 'holdconn' || answered === 'holdconn') return undefined;
  const role = answered === 'active' ? 'passive' : 'active';
  return offered === 'actpass' || offered === role ? role : undefined;
}
