import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseFingerprint } from '../../src/ndc/description.ts';

const digest = (octets: number, value = 'ab') => Array.from({ length: octets }, () => value).join(':');

// conformance: RFC 8122 5.1 — of several fingerprints the strongest known hash function is used
test('the strongest known hash function wins, in canonical spelling', () => {
  const set = [`sha-1 ${digest(20)}`, `SHA-256 ${digest(32)}`, `md5 ${digest(16)}`, `unknown ${digest(9)}`];
  assert.equal(chooseFingerprint(set), `sha-256 ${digest(32, 'AB')}`);
  assert.equal(
    chooseFingerprint([`sha-256 ${digest(32)}`, `sha-256 ${digest(32, 'AB')}`]),
    `sha-256 ${digest(32, 'AB')}`,
  );
});

test('sets that cannot be checked are refused', () => {
  const refused = [
    [],
    [`md5 ${digest(16)}`],
    [`sha-256 ${digest(31)}`],
    [`sha-256 ${digest(32)}:`],
    ['sha-256'],
    [`sha-256 ${digest(32, 'xy')}`],
    [`sha-256 ${digest(32, 'AA')}`, `sha-256 ${digest(32, 'BB')}`],
  ];
  for (const set of refused) assert.throws(() => chooseFingerprint(set), { code: 'MEDIA_BAD_REMOTE' }, set.join());
});
