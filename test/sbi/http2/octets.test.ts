import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { octetsOf, textOf } from '../../../src/sbi/http2/octets.ts';

test('octets are those of UTF-8, one character each, and text comes back', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
      const octets = octetsOf(text);
      assert.deepEqual(Buffer.from(octets, 'latin1'), Buffer.from(text));
      assert.equal(textOf(octets), text);
    }),
  );
  assert.equal(octetsOf('{"a":1}'), '{"a":1}');
  assert.equal(octetsOf('ä'), '\xc3\xa4');
  // Half a surrogate pair has no UTF-8, and half a character no text.
  assert.equal(octetsOf('\ud800'), '\xef\xbf\xbd');
  assert.equal(textOf('\xc3'), '\ufffd');
});
