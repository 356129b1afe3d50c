import { type Fingerprint, sameFingerprints } from './fingerprint.ts';
import type { DtlsRole } from './role.ts';

/** What one side's SDP says about its end of an association. */
export interface AssociationSide {
  readonly tlsId?: string;
  readonly fingerprints: readonly Fingerprint[];
  readonly address: string;
  readonly port: number;
}

/** An association as negotiated by one offer/answer. */
export interface NegotiatedAssociation {
  readonly local: AssociationSide;
  readonly remote: AssociationSide;
  readonly localRole: DtlsRole;
  readonly ice: boolean;
}

export type NewAssociationReason = 'tlsId' | 'fingerprint' | 'role' | 'transport';

/**
 * Whether the new offer/answer asks for a new DTLS association, and why (R12, RFC 8842 3, RFC 5763 6.6); undefined:
 * the old one goes on. A tls-id counts only while both sides have one: a peer that sends none judges by transport,
 * and we must judge as it does. With ICE a new address is only a new path.
 */
export function needsNewAssociation(
  before: NegotiatedAssociation,
  after: NegotiatedAssociation,
): NewAssociationReason | undefined {
  if (tlsIdChanged(before.local, after.local) || tlsIdChanged(before.remote, after.remote)) return 'tlsId';
  const fingerprintsKept =
    sameFingerprints(before.local.fingerprints, after.local.fingerprints) &&
    sameFingerprints(before.remote.fingerprints, after.remote.fingerprints);
  if (!fingerprintsKept) return 'fingerprint';
  if (before.localRole !== after.localRole) return 'role';
  const tlsIdUsable = after.local.tlsId !== undefined && after.remote.tlsId !== undefined;
  if (tlsIdUsable || after.ice) return undefined;
  const moved = transportChanged(before.local, after.local) || transportChanged(before.remote, after.remote);
  return moved ? 'transport' : undefined;
}

/** A tls-id that disappears says nothing (a middle box may have dropped it); one that appears or differs does. */
function tlsIdChanged(before: AssociationSide, after: AssociationSide): boolean {
  return after.tlsId !== undefined && after.tlsId !== before.tlsId;
}

function transportChanged(before: AssociationSide, after: AssociationSide): boolean {
  return before.address !== after.address || before.port !== after.port;
}
