import { formatFingerprint } from '../../dtls/fingerprint.ts';
import { type NegotiatedAssociation, needsNewAssociation } from '../../dtls/needs-new-association.ts';
import { answerSetup, type DtlsRole, preferredRole, type SetupValue } from '../../dtls/role.ts';
import type { SecuritySetup } from '../../services/common-data.ts';
import type { RemoteEndpoint } from '../engine/types.ts';
import type { DesiredAssociation, Remote } from './desired.ts';
import { type HeldAssociation, isBroken, type Started } from './held.ts';
import { deepEqual } from './json-patch.ts';
import { contextInvalid } from './read-media.ts';

const asSetup = (setup: SecuritySetup) => setup.toLowerCase() as SetupValue;

/**
 * Our DTLS role: what we are told (R4), else what the peer's a=setup leaves us, and for `actpass` the role we have
 * already or prefer. Undefined while the peer has said nothing. Throws MF_CONTEXT_INVALID when both would be the same.
 */
export function resolveRole(wanted: DesiredAssociation, current: DtlsRole | undefined): DtlsRole | undefined {
  const { ice, localSetup, peerSetup, pointer } = wanted;
  if (localSetup === 'ACTIVE' || localSetup === 'PASSIVE') {
    if (peerSetup === localSetup) {
      throw contextInvalid(`${pointer}/dcMedia/imsdc/localSetup`, `is the peer's role too (${peerSetup})`);
    }
    return localSetup === 'ACTIVE' ? 'active' : 'passive';
  }
  if (peerSetup === undefined) return current;
  return answerSetup(asSetup(peerSetup), current ? { preferred: current, current } : { preferred: preferredRole(ice) });
}

/** R5: with both far ends and the role known, the association can start. */
export function startedAs(
  wanted: DesiredAssociation,
  role: DtlsRole | undefined,
  streams: number,
): Started | undefined {
  const { peerMaxMessageSizeBytes, pointer, remote } = wanted;
  if (!remote) return undefined;
  // RFC 4145 4.1: without a=setup an answerer is passive; but silence in an API is a mistake, not a default.
  if (!role) throw contextInvalid(`${pointer}/dcMedia/securitySetup`, 'missing');
  return { remote, role, streams, peerMaxMessageSizeBytes };
}

/** Of the network that the MF stands in, not of one call. */
export interface PathOptions {
  /** Accept another source than the SDP's once its certificate matched (R10). */
  readonly natLatch: boolean;
  /** Passive without ICE: open the gate between us and the peer with one datagram (RFC 5763 6.7.2). */
  readonly pinhole: boolean;
}

export function engineRemote(started: Started, ice: boolean, path: PathOptions): RemoteEndpoint {
  const { remote, role, streams, peerMaxMessageSizeBytes } = started;
  return {
    address: remote.address,
    port: remote.port,
    sctpPort: remote.sctpPort,
    fingerprints: remote.fingerprints.map(formatFingerprint),
    role,
    maxMessageSizeBytes: peerMaxMessageSizeBytes,
    streams,
    ice,
    natLatch: path.natLatch,
    pinhole: path.pinhole && role === 'passive' && !ice,
  };
}

/** Whether `held` can go on as `wanted`, or a new association is asked for (R12). */
export function matches(held: HeldAssociation, wanted: DesiredAssociation): boolean {
  const { started } = held;
  // R5: a new association is asked for without the address, which comes with the answer.
  const remote = wanted.remote ?? (started && wanted.remoteDc && { ...started.remote, ...wanted.remoteDc });
  const wishesTlsId = wanted.tlsId !== undefined && wanted.tlsId !== held.tlsId;
  // Credentials that the far end turned out to have no use for do no harm (ue-side.md 3); what never had any needs others.
  if ((held.ice !== wanted.ice && (held.started !== undefined || !held.ice)) || wishesTlsId) return false;
  if (!started || !remote) return true;
  if (started.remote.sctpPort !== remote.sctpPort) return false;
  // What failed is not tried again until the consumer asks for something else.
  if (isBroken(held)) return deepEqual(started.remote, remote);
  const localRole = resolveRole(wanted, started.role) ?? started.role;
  const before = negotiated(held, started.remote, started.role);
  return needsNewAssociation(before, negotiated(held, remote, localRole)) === undefined;
}

function negotiated(held: HeldAssociation, remote: Remote, localRole: DtlsRole): NegotiatedAssociation {
  // Ours never changes under one key, so one value serves both sides of the comparison.
  const local = { tlsId: held.tlsId, fingerprints: [], address: '', port: 0 };
  return { local, remote, localRole, ice: held.ice };
}
