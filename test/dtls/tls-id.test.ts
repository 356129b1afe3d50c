import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { alphaTlsId, isTlsId, mintTlsId } from '../../src/dtls/tls-id.ts';

const env = { random: (bytes: number) => randomBytes(bytes).toString('hex') };
const sha256Hex = (text: string) => createHash('sha256').update(text).digest('hex');

// conformance: RFC 8842 4 — 120 random bits in 20 legal characters
test('a tls-id is 20 legal characters made of exactly the random bits', () => {
  assert.equal(mintTlsId({ random: (bytes) => 'ff'.repeat(bytes) }), '____________________');
  const minted = new Set(Array.from({ length: 500 }, () => mintTlsId(env)));
  assert.equal(minted.size, 500);
  for (const tlsId of minted) assert.match(tlsId, /^[A-Za-z0-9_-]{20}$/);
});

test('which values are legal', () => {
  for (const legal of ['a'.repeat(20), 'A+/_-9'.repeat(4), 'z'.repeat(255)]) assert.ok(isTlsId(legal), legal);
  for (const illegal of ['', 'a'.repeat(19), 'a'.repeat(256), `${'a'.repeat(20)}=`, `${'a'.repeat(20)}\n`]) {
    assert.ok(!isTlsId(illegal), illegal);
  }
});

// conformance: R12 — the alpha form is the first 40 hex digits of the SHA-256
test('the alpha form is stable, hex, and differs for every tls-id', () => {
  assert.equal(alphaTlsId('abc', sha256Hex), 'BA7816BF8F01CFEA414140DE5DAE2223B00361A3');
  const forms = new Set(Array.from({ length: 100 }, () => alphaTlsId(mintTlsId(env), sha256Hex)));
  assert.equal(forms.size, 100);
  for (const form of forms) assert.ok(/^[0-9A-F]{40}$/.test(form) && isTlsId(form));
});
