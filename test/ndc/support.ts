import { randomBytes } from 'node:crypto';
import { createCertificate } from '../../src/dtls/certificate.ts';
import type { Certificate, FarEnd, PlainState } from '../../src/ndc/association.ts';
import { PlainAssociation } from '../../src/ndc/association.ts';
import type { ChannelSpec } from '../../src/ndc/channel.ts';

export interface TestCertificate extends Certificate {
  /** `sha-256 AA:BB:..` */
  readonly fingerprint: string;
}

export async function makeCertificate(): Promise<TestCertificate> {
  const made = await createCertificate({ nowMs: Date.now(), random: (bytes) => randomBytes(bytes).toString('hex') });
  const { certificatePem, privateKeyPem: keyPem, fingerprint } = made;
  return { certificatePem, keyPem, fingerprint: `sha-256 ${fingerprint.value}` };
}

const shared = [makeCertificate(), makeCertificate()] as const;
export const certificateA = await shared[0];
export const certificateB = await shared[1];

export const ORDERED = (streamId: number): ChannelSpec => ({ streamId, ordered: true });

/** The far end as `other` would describe itself in SDP. */
export function describe(
  other: PlainAssociation,
  certificate: TestCertificate,
  role: FarEnd['role'],
  change: Partial<FarEnd> = {},
): FarEnd {
  return {
    address: '127.0.0.1',
    port: other.localPort,
    sctpPort: 5000,
    fingerprints: [certificate.fingerprint],
    role,
    maxMessageSizeBytes: 262_144,
    ...change,
  };
}

export function reserveLocal(certificate: TestCertificate, change = {}): Promise<PlainAssociation> {
  return PlainAssociation.reserve({ bindAddress: '127.0.0.1', port: 0, certificate, ...change });
}

export async function reached(association: PlainAssociation, ...states: PlainState[]): Promise<PlainState> {
  if (states.includes(association.state)) return association.state;
  return (await association.next('state', (event) => states.includes(event.state))).state;
}

export async function opened(association: PlainAssociation, streamId: number): Promise<void> {
  if (association.isOpen(streamId)) return;
  await association.next('stream', (event) => event.streamId === streamId && event.state === 'open');
}

/** Two connected associations; `a` is active. */
export async function connectedPair(streamIds: readonly number[], options = {}) {
  const [a, b] = await Promise.all([reserveLocal(certificateA, options), reserveLocal(certificateB, options)]);
  const open = Promise.all(streamIds.flatMap((id) => [opened(a, id), opened(b, id)]));
  await b.start(describe(a, certificateA, 'passive'), streamIds.map(ORDERED));
  await a.start(describe(b, certificateB, 'active'), streamIds.map(ORDERED));
  await open;
  return { a, b };
}
