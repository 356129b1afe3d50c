import 'reflect-metadata';
import { webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { Certificate, FarEnd, PlainState } from '../../src/ndc/association.ts';
import { PlainAssociation } from '../../src/ndc/association.ts';
import type { ChannelSpec } from '../../src/ndc/channel.ts';

export interface TestCertificate extends Certificate {
  readonly fingerprint: string;
}

/** A self-signed ECDSA P-256 certificate. */
export async function makeCertificate(): Promise<TestCertificate> {
  x509.cryptoProvider.set(webcrypto as Crypto);
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({ keys, signingAlgorithm: algorithm });
  const certificatePem = certificate.toString('pem');
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    certificatePem,
    keyPem: `-----BEGIN PRIVATE KEY-----\n${key.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`,
    fingerprint: `sha-256 ${new X509Certificate(certificatePem).fingerprint256}`,
  };
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
