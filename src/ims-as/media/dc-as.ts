import type { Environment } from '../../base/environment.ts';
import { formatFingerprint } from '../../dtls/fingerprint.ts';
import { answerSetup, type DtlsRole, type SetupValue } from '../../dtls/role.ts';
import { mintTlsId } from '../../dtls/tls-id.ts';
import { DEFAULT_MAX_MESSAGE_SIZE } from '../../sdp/data-channel.ts';
import { fromDcEndpoint, fromSecuritySetup } from '../../sdp/service-mapping.ts';
import type { Endpoint, Mdc2End } from '../../services/common-data.ts';
import type { LegName } from '../call/types.ts';
import type { InstructionSpec, LocalEnd, MediaLine, MediaState } from './types.ts';

/**
 * A line whose DTLS ends at a DC AS while the MF forwards its datagrams (`UDP_PROXY` with MDC2; 23.228 AC.7.2.2): what the
 * peer is told is the MF's address and port, and of everything else what the DC AS says of itself.
 */
export function endsAtDcAs({ spec, treatment }: Pick<MediaLine, 'spec' | 'treatment'>): boolean {
  return treatment !== 'flow' && spec?.proxy === 'UDP_PROXY' && spec.mdc2 !== undefined;
}

/** The DC AS's end for one leg: P2A2P may have another one for each. */
export function dcAsEnd(spec: InstructionSpec | null, leg: LegName): Mdc2End & { endpoint?: Endpoint } {
  const { dcEndpoint, maxMessageSizeBytes, remote } = spec?.mdc2Target ?? {};
  if (leg === 'remote' && remote !== undefined) return { endpoint: spec?.mdc2, ...remote };
  return { endpoint: spec?.mdc2, dcEndpoint, maxMessageSizeBytes };
}

/** What is missing to answer with the DC AS's values; undefined: nothing. */
export function dcAsProblem(spec: InstructionSpec): { member: string; reason: string } | undefined {
  for (const leg of ['served', 'remote'] as const) {
    const { dcEndpoint } = dcAsEnd(spec, leg);
    const member = leg === 'remote' && spec.mdc2Target?.remote !== undefined ? 'remote/dcEndpoint' : 'dcEndpoint';
    if (dcEndpoint === undefined) return { member, reason: 'missing: UDP_PROXY needs the fingerprint of the DC AS' };
    if (fromDcEndpoint(dcEndpoint).fingerprints.length === 0) {
      return { member: `${member}/fingerprints`, reason: 'has none that can be used' };
    }
  }
  return undefined;
}

/** Its a=setup there; `passive` where it does not say. */
export function dcAsSetup(spec: InstructionSpec | null, leg: LegName): 'active' | 'passive' | 'actpass' {
  const { securitySetup } = dcAsEnd(spec, leg).dcEndpoint ?? {};
  return securitySetup === undefined ? 'passive' : fromSecuritySetup(securitySetup);
}

/** The role of the DC AS in answer to `offered`; undefined: both would take the same, so the line cannot be answered. */
export function dcAsRole(spec: InstructionSpec | null, leg: LegName, offered: SetupValue): DtlsRole | undefined {
  const own = dcAsSetup(spec, leg);
  const role = answerSetup(offered, { preferred: own === 'actpass' ? 'passive' : own });
  return own === 'actpass' || role === own ? role : undefined;
}

/** Our end of such a line: where the MF listens, and who the DC AS is. */
export function localEndAtDcAs(
  spec: InstructionSpec | null,
  leg: LegName,
  mf: Pick<LocalEnd, 'address' | 'icePwd' | 'iceUfrag' | 'port'>,
  before: LocalEnd | null,
  env: Environment,
): LocalEnd | string {
  const { dcEndpoint, maxMessageSizeBytes = DEFAULT_MAX_MESSAGE_SIZE } = dcAsEnd(spec, leg);
  if (dcEndpoint === undefined) return 'the DC AS has no fingerprint';
  const { fingerprints, sctpPort, tlsId } = fromDcEndpoint(dcEndpoint);
  return {
    ...mf,
    sctpPort,
    fingerprints: fingerprints.map(formatFingerprint),
    tlsId: before?.tlsId ?? tlsId ?? mintTlsId(env),
    maxMessageSizeBytes: maxMessageSizeBytes || DEFAULT_MAX_MESSAGE_SIZE,
  };
}

/**
 * R12 for lines that end at a DC AS: the peer begins a new association, so our SDP names a new one, too. Nothing changes at
 * the MF, which forwards its ClientHello like any datagram.
 */
export function renewAtDcAs(media: MediaState, env: Environment): void {
  for (const line of media.lines) {
    if (!endsAtDcAs(line)) continue;
    for (const leg of ['served', 'remote'] as const) {
      const end = line.ends[leg];
      if (end?.renewal !== 'wanted' || end.local === null) continue;
      end.local = { ...end.local, tlsId: mintTlsId(env) };
      end.renewal = 'none';
    }
  }
}
