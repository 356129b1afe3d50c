import assert from 'node:assert/strict';
import { test } from 'node:test';
import { classifyDatagram } from '../../src/ndc/demultiplex.ts';

// conformance: RFC 7983 7 — demultiplexing by the first octet
test('the first octet decides', () => {
  const classOf = (first: number) => (first <= 3 ? 'stun' : first >= 20 && first <= 63 ? 'dtls' : 'other');
  for (let first = 0; first < 256; first++) assert.equal(classifyDatagram(Uint8Array.of(first)), classOf(first));
  assert.equal(classifyDatagram(new Uint8Array(0)), 'other');
});
