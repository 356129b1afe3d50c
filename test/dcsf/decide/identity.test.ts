import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networkOf, normalisedIdentity } from '../../../src/dcsf/decide/identity.ts';

// conformance: network-side 3.6 (14) — whatever form an identity has on input, it is the same user
for (const [given, normalised, network] of [
  ['sip:+8613800000001@ims.example;user=phone', 'sip:+8613800000001@ims.example', 'ims.example'],
  ['SIP:Alice@IMS.Example:5060;transport=tcp', 'sip:Alice@ims.example', 'ims.example'],
  ['sips:alice@ims.example', 'sips:alice@ims.example', 'ims.example'],
  ['sip:alice@192.0.2.7:5070', 'sip:alice@192.0.2.7', '192.0.2.7'],
  ['sip:al%40ice@a', 'sip:al%40ice@a', 'a'],
  ['<sip:alice@ims.example>', 'sip:alice@ims.example', 'ims.example'],
  ['sip:ims.example', 'sip:ims.example', 'ims.example'],
  ['tel:10086', 'tel:10086', ''],
  ['tel:+86-138 (0000).0001;phone-context=x', 'tel:+8613800000001', ''],
  ['nobody', 'nobody', 'nobody'],
] as const) {
  test(`${given} is ${normalised}`, () => {
    assert.equal(normalisedIdentity(given), normalised);
    assert.equal(networkOf(given), network);
  });
}
