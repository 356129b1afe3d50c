import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Fingerprint,
  formatFingerprint,
  parseFingerprint,
  preferredFingerprints,
  sameFingerprints,
} from '../../src/dtls/fingerprint.ts';

const hex = (bytes: number, pair = 'AB') => Array(bytes).fill(pair).join(':');
const fingerprint = (text: string): Fingerprint => {
  const read = parseFingerprint(text, { acceptSha1: true });
  assert.ok(typeof read !== 'string', String(read));
  return read;
};

// conformance: RFC 8122 5 — hash names without case, lengths per hash, no MD5
test('every hash we know, in any case', () => {
  for (const [name, bytes] of [
    ['sha-1', 20],
    ['sha-224', 28],
    ['SHA-256', 32],
    ['Sha-384', 48],
    ['sha-512', 64],
  ] as const) {
    const read = fingerprint(` ${name}  ${hex(bytes, 'ab')} `);
    assert.equal(formatFingerprint(read), `${name.toUpperCase()} ${hex(bytes)}`);
    for (const wrong of [bytes - 1, bytes + 1]) {
      assert.match(
        String(parseFingerprint(`${name} ${hex(wrong)}`, { acceptSha1: true })),
        /needs \d+ bytes, got \d+$/,
      );
    }
  }
});

const UNUSABLE: [string, RegExp][] = [
  ['', /unknown hash ''/],
  ['SHA-256', /not hex pairs/],
  [`MD5 ${hex(16)}`, /MD5 is broken/],
  [`MD2 ${hex(16)}`, /MD2 is broken/],
  [`SHA-1 ${hex(20)}`, /SHA-1 is not accepted/],
  [`SHA3-256 ${hex(32)}`, /unknown hash 'SHA3-256'/],
  [`SHA-256 ${hex(32)}:`, /not hex pairs/],
  [`SHA-256 ${hex(32)} x`, /not hex pairs/],
  [`SHA-256 ${hex(32).replaceAll(':', '')}`, /not hex pairs/],
];
for (const [text, reason] of UNUSABLE) {
  test(`unusable: '${text.slice(0, 20)}'`, () => assert.match(String(parseFingerprint(text)), reason));
}

// conformance: RFC 8122 5.1 — the set with the most preferred hash
test('all fingerprints of the most preferred hash are taken', () => {
  const all = [`SHA-1 ${hex(20)}`, `SHA-512 ${hex(64)}`, `SHA-256 ${hex(32)}`, `SHA-256 ${hex(32, '01')}`].map(
    fingerprint,
  );
  assert.deepEqual(preferredFingerprints(all), [all[2], all[3]]);
  assert.deepEqual(preferredFingerprints(all.slice(0, 2)), [all[1]]);
  assert.deepEqual(preferredFingerprints([]), []);
});

test('sets are compared, not lists', () => {
  const [a, b] = [fingerprint(`SHA-256 ${hex(32)}`), fingerprint(`SHA-256 ${hex(32, '01')}`)];
  assert.ok(sameFingerprints([a, b], [b, a, a]));
  assert.ok(!sameFingerprints([a], [a, b]));
  assert.ok(!sameFingerprints([a, b], [a]));
  assert.ok(!sameFingerprints([a], []));
});
