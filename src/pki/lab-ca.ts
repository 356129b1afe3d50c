import 'reflect-metadata'; // @peculiar/x509 resolves its parts through it, so it comes first
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** Certificates for mutual TLS between the functions of a lab. A production PKI is the operator's own. */

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Clocks of other hosts may be behind ours. */
const BACKDATE_MS = DAY_MS;

export interface PemPair {
  readonly certificatePem: string;
  /** PKCS #8. */
  readonly privateKeyPem: string;
}

export interface IssueOptions {
  /** Host names and addresses the holder is reached by; the first is the subject. Never empty. */
  readonly names: readonly string[];
  readonly validityDays: number;
  readonly nowMs: number;
}

/** A new lab CA: may sign certificates, nothing else (RFC 5280 4.2.1.9, path length 0). */
export async function createCa(options: { commonName: string; validityDays: number; nowMs: number }): Promise<PemPair> {
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [options.commonName] }],
    ...validity(options),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  return pems(certificate, keys.privateKey);
}

/** A certificate of `ca` that serves and calls: every function of ours is server on one side and client on another. */
export async function issue(ca: PemPair, options: IssueOptions): Promise<PemPair> {
  const [subject] = options.names;
  if (subject === undefined) throw new RangeError('a certificate needs at least one name');
  const issuer = new X509Certificate(ca.certificatePem);
  const signingKey = await webcrypto.subtle.importKey(
    'pkcs8',
    PemConverter.decodeFirst(ca.privateKeyPem),
    ALGORITHM,
    false,
    ['sign'],
  );
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [{ CN: [subject] }],
    issuer: issuer.subject,
    ...validity(options),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension(
        options.names.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value })),
      ),
    ],
  });
  return pems(certificate, keys.privateKey);
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

function validity({ validityDays, nowMs }: { validityDays: number; nowMs: number }) {
  return { notBefore: new Date(nowMs - BACKDATE_MS), notAfter: new Date(nowMs + validityDays * DAY_MS) };
}

/** RFC 5280 4.1.2.2: positive, at most 20 octets. */
function serialNumber(): string {
  return `01${randomBytes(15).toString('hex')}`;
}

async function pems(certificate: X509Certificate, privateKey: webcrypto.CryptoKey): Promise<PemPair> {
  return {
    certificatePem: `${certificate.toString('pem')}\n`,
    privateKeyPem: `${PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', privateKey), 'PRIVATE KEY')}\n`,
  };
}
