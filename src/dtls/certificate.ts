import 'reflect-metadata'; // @peculiar/x509 resolves its parts through it, so it comes first
import { BasicConstraintsExtension, PemConverter, X509CertificateGenerator } from '@peculiar/x509';
import type { Environment } from '../base/environment.ts';
import type { Fingerprint } from './fingerprint.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Clocks of peers may be behind ours. Peers trust the fingerprint, but some TLS stacks still look at the dates. */
const BACKDATE_MS = DAY_MS;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export interface DtlsCertificate {
  readonly certificatePem: string;
  /** PKCS #8. */
  readonly privateKeyPem: string;
  /** SHA-256 of the DER certificate, as it goes into a=fingerprint. */
  readonly fingerprint: Fingerprint;
  readonly notAfterMs: number;
}

export interface CertificateOptions {
  /** Subject and issuer CN. Says nothing about the owner: it is shown to every peer. Default 'imsdc'. */
  readonly commonName?: string;
  /** Default 365. */
  readonly validityDays?: number;
}

/**
 * A self-signed ECDSA P-256 certificate, one per MF instance: identity comes from the fingerprint in SDP
 * (RFC 8122 6.2), so nobody needs to have issued it.
 */
export async function createCertificate(env: Environment, options: CertificateOptions = {}): Promise<DtlsCertificate> {
  const { subtle } = globalThis.crypto;
  const keys = await subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const notAfterMs = env.nowMs + (options.validityDays ?? 365) * DAY_MS;
  const certificate = await X509CertificateGenerator.createSelfSigned({
    // RFC 5280 4.1.2.2: positive, at most 20 octets.
    serialNumber: `01${env.random(15)}`,
    name: [{ CN: [options.commonName ?? 'imsdc'] }],
    notBefore: new Date(env.nowMs - BACKDATE_MS),
    notAfter: new Date(notAfterMs),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [new BasicConstraintsExtension(false, undefined, true)],
  });
  const privateKey = await subtle.exportKey('pkcs8', keys.privateKey);
  return {
    certificatePem: `${certificate.toString('pem')}\n`,
    privateKeyPem: `${PemConverter.encode(privateKey, 'PRIVATE KEY')}\n`,
    fingerprint: await certificateFingerprint(certificate.rawData),
    notAfterMs,
  };
}

/** SHA-256 fingerprint of a DER certificate (RFC 8122 5). */
async function certificateFingerprint(der: ArrayBuffer): Promise<Fingerprint> {
  const digest = new Uint8Array(await globalThis.crypto.subtle.digest('SHA-256', der));
  const value = Array.from(digest, (byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join(':');
  return { algorithm: 'SHA-256', value };
}
