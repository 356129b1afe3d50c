import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeBlock, encodeField, HeaderBlockError } from '../../../src/sbi/http2/header-block.ts';
import { huffmanDecode } from '../../../src/sbi/http2/huffman.ts';

const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex');
const decoded = (block: Buffer) => Object.fromEntries(decodeBlock(block));

describe('HPACK without a dynamic table', () => {
  // conformance: RFC 7541 6, 5.2 — indexed fields, literals, Huffman strings
  test('decodes what others encode', () => {
    // Cases in the manner of RFC 7541 appendix C, without table insertion.
    assert.deepEqual(decoded(bytes('88')), { ':status': '200' });
    assert.deepEqual(decoded(bytes('20 89')), { ':status': '204' });
    assert.deepEqual(decoded(bytes('08 03 323031')), { ':status': '201' });
    assert.deepEqual(decoded(bytes('0882 1003')), { ':status': '201' });
    assert.deepEqual(decoded(bytes('400a 637573746f6d2d6b6579 0d 637573746f6d2d686561646572')), {
      'custom-key': 'custom-header',
    });
    // Never indexed; a repeated name.
    assert.deepEqual(decoded(bytes('100161 0131 000161 0132')), { a: '1, 2' });
    assert.equal(huffmanDecode(bytes('f1e3c2e5f23a6ba0ab90f4ff')), 'www.example.com');
    assert.equal(huffmanDecode(bytes('a8eb10649cbf')), 'no-cache');
    assert.equal(huffmanDecode(bytes('d07abe941054d444a8200595040b8166e082a62d1bff')), 'Mon, 21 Oct 2013 20:13:21 GMT');
    assert.equal(huffmanDecode(bytes('9d29ad171863c78f0b97c8e9ae82ae43d3')), 'https://www.example.com');
  });

  test('what we encode comes back', () => {
    const name = fc.stringMatching(/^[a-z0-9-]{1,200}$/);
    const value = fc.stringMatching(/^[\x20-\x7e\x80-\xff]{0,400}$/);
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([n]) => n }), (fields) => {
        const block = Buffer.from(fields.map(([n, v]) => encodeField(n, v)).join(''), 'latin1');
        assert.deepEqual(decoded(block), Object.fromEntries(fields));
      }),
    );
    assert.deepEqual(decoded(Buffer.from(encodeField(':method', 'PATCH') + encodeField(':path', '/x'), 'latin1')), {
      ':method': 'PATCH',
      ':path': '/x',
    });
    assert.throws(() => encodeField('x', 'a\r\nb'), TypeError);
    assert.throws(() => encodeField('x', '✓'), TypeError);
  });

  test('refuses what breaks the rules, and never fails otherwise', () => {
    const broken = [
      'be',
      'ff ff ff ff ff ff',
      '3f e1 1f',
      '00 05 61',
      '00 01 61 7f',
      '00 81 ff 00',
      '0081 00 00',
      '80',
    ];
    for (const hex of broken) assert.throws(() => decodeBlock(bytes(hex)), HeaderBlockError, hex);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (block) => {
        try {
          decodeBlock(Buffer.from(block));
        } catch (error) {
          assert.ok(error instanceof HeaderBlockError);
        }
      }),
      { numRuns: 3_000 },
    );
  });
});
