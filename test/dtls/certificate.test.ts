import assert from 'node:assert/strict';
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { createCertificate } from '../../src/dtls/certificate.ts';

const NOW_MS = Date.parse('2026-03-01T12:00:00Z');
const env = { nowMs: NOW_MS, random: (bytes: number) => randomBytes(bytes).toString('hex') };

// conformance: RFC 8122 5 — the fingerprint is the hash of the DER certificate
test('an independent reader finds an ECDSA P-256 certificate that fits its key and fingerprint', async () => {
  const made = await createCertificate(env, { commonName: 'mf1', validityDays: 10 });
  const read = new X509Certificate(made.certificatePem);
  assert.equal(read.fingerprint256, made.fingerprint.value);
  assert.equal(made.fingerprint.algorithm, 'SHA-256');
  assert.ok(read.checkPrivateKey(createPrivateKey(made.privateKeyPem)));
  assert.ok(read.verify(read.publicKey), 'self-signed');
  assert.deepEqual([read.subject, read.issuer, read.ca], ['CN=mf1', 'CN=mf1', false]);
  assert.equal(read.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.equal(read.validFromDate.getTime(), NOW_MS - 86_400_000);
  assert.equal(read.validToDate.getTime(), NOW_MS + 10 * 86_400_000);
  assert.equal(made.notAfterMs, read.validToDate.getTime());
});

test('two certificates share neither key nor serial number', async () => {
  const [one, two] = await Promise.all([createCertificate(env), createCertificate(env)]);
  assert.notEqual(one.fingerprint.value, two.fingerprint.value);
  assert.notEqual(one.privateKeyPem, two.privateKeyPem);
  const serials = [one, two].map((c) => new X509Certificate(c.certificatePem).serialNumber);
  assert.equal(new Set(serials).size, 2);
});
