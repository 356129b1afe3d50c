import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { StreamFramer } from '../../../src/sip/transport/framer.ts';
import { request } from '../support.ts';

function recorder(): { seen: string[]; sink: Parameters<StreamFramer['push']>[1] } {
  const seen: string[] = [];
  return {
    seen,
    sink: {
      message: (bytes) => void seen.push(bytes.toString('latin1')),
      ping: () => void seen.push('ping'),
      broken: (status, reason) => void seen.push(`${status} ${reason}`),
    },
  };
}

// conformance: RFC 3261 18.3 — messages are cut by Content-Length wherever the segments fall
test('property: however a stream is cut, the same messages come out', () => {
  const item = fc.oneof(
    fc
      .string({ unit: fc.constantFrom('a', '\r', '\n', '\xff', ':'), maxLength: 300 })
      .map((body) => request({ method: 'MESSAGE', body })),
    fc.constant('\r\n\r\n'),
  );
  fc.assert(
    fc.property(
      fc.array(item, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 20 }),
      (items, cuts) => {
        const { seen, sink } = recorder();
        const framer = new StreamFramer();
        const stream = Buffer.from(items.join(''), 'latin1');
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = cuts[i % cuts.length]!;
          framer.push(stream.subarray(at, at + size), sink);
          at += size;
        }
        assert.deepEqual(
          seen,
          items.map((one) => (one === '\r\n\r\n' ? 'ping' : one)),
        );
        assert.equal(framer.pendingBytes, 0);
      },
    ),
  );
});

test('a lone CRLF after a message or as a pong is ignored', () => {
  const { seen, sink } = recorder();
  const framer = new StreamFramer();
  const wire = request();
  framer.push(Buffer.from(`${wire}\r\n`), sink);
  framer.push(Buffer.from(wire), sink);
  assert.deepEqual(seen, [wire, wire]);
});

for (const [what, wire, expected] of [
  ['no Content-Length', request().replace(/Content-Length: 0\r\n/, ''), '400 Missing Content-Length'],
  ['a body above the limit', request().replace('Content-Length: 0', 'Content-Length: 70000'), '513 Message Too Large'],
  ['headers above the limit', `OPTIONS sip:h SIP/2.0\r\n${'X: y\r\n'.repeat(20_000)}`, '513 Message Too Large'],
  ['a CR that begins no line end', '\rX', '400 Bad Start Line'],
] as const) {
  test(`broken: ${what}`, () => {
    const { seen, sink } = recorder();
    const framer = new StreamFramer();
    framer.push(Buffer.from(wire), sink);
    framer.push(Buffer.from(request()), sink);
    assert.deepEqual(seen, [expected], 'said once, and nothing is read after it');
    assert.ok(framer.pendingBytes <= 64 * 1024 + 4, 'never more than one message is held');
  });
}

test('a compact Content-Length counts', () => {
  const { seen, sink } = recorder();
  const wire = request({ body: 'abc' }).replace('Content-Length: 3', 'l :3');
  new StreamFramer().push(Buffer.from(wire), sink);
  assert.deepEqual(seen, [wire]);
});
