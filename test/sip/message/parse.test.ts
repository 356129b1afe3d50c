import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Parser } from 'sip.js/lib/core/messages/parser.js';
import { MAX_HEADERS, MAX_LINE_BYTES, MAX_VIAS, MessageWriter, parseMessage } from '../../../src/sip/message/index.ts';
import { parsed, request } from '../support.ts';

function refusal(text: string): [number, string] {
  const result = parseMessage(text);
  assert.ok('error' in result, 'should have been refused');
  return [result.error.status, result.error.reason];
}

test('compact forms, folds, odd case and spaces all mean the same', () => {
  const message = parsed(
    'OPTIONS sip:b@h SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFROM : <sip:a@h>;\r\n\tTAG=x\r\nt:<sip:b@h>\r\ni:c\r\n' +
      'cSEQ: 7\r\n  OPTIONS\r\nk: 100rel,\r\n timer\r\nX-Unknown:  kept \r\nl: 0\r\n\r\n',
  );
  assert.equal(message.fromTag, 'x');
  assert.equal(message.cseq, 7);
  assert.deepEqual(message.list('supported'), ['100rel', 'timer']);
  assert.equal(message.first('supported'), '100rel, timer');
  assert.equal(message.first('x-unknown'), 'kept');
  assert.deepEqual(
    [...message.headerLines()].map(({ name }) => name),
    ['via', 'from', 'to', 'call-id', 'cseq', 'supported', 'x-unknown', 'content-length'],
  );
  assert.equal(message.span('x-unknown'), 'X-Unknown:  kept \r\n');
});

test('lists split outside quotes and angle brackets only', () => {
  const message = parsed(
    request({ headers: 'Contact: "a, b" <sip:x@h?Y=1,2>;q=1, <sip:y@h>\r\nContact: <sip:z@h>\r\n' }),
  );
  assert.deepEqual(message.list('contact'), ['"a, b" <sip:x@h?Y=1,2>;q=1', '<sip:y@h>', '<sip:z@h>']);
  assert.equal([...message.each('contact')].length, 2);
});

const valid = request({ body: 'v=0\r\n' });
for (const [what, text, expected] of [
  ['no Via', valid.replace(/Via:.*\r\n/, ''), [400, 'Missing Via']],
  ['no To', valid.replace(/To:.*\r\n/, ''), [400, 'Missing To']],
  ['two CSeq', valid.replace('CSeq', 'CSeq: 1 INVITE\r\nCSeq'), [400, 'Repeated CSeq']],
  ['a line without colon', valid.replace('Max-Forwards: 70', 'Max-Forwards'), [400, 'Bad Header Line']],
  [
    'a bare LF that another element may take for a line end',
    valid.replace('To:', 'X: y\nP-Asserted-Identity: <sip:evil@h>\r\nTo:'),
    [400, 'Bare CR Or LF'],
  ],
  ['a bare CR', valid.replace('To:', 'X: y\rZ: z\r\nTo:'), [400, 'Bare CR Or LF']],
  ['no blank line', valid.slice(0, valid.indexOf('\r\n\r\n') + 2), [400, 'Missing End Of Headers']],
  [
    'a huge Content-Length',
    valid.replace('Content-Length: 5', 'Content-Length: 99999999'),
    [413, 'Request Entity Too Large'],
  ],
  [
    'a Content-Length with a sign',
    valid.replace('Content-Length: 5', 'Content-Length: +5'),
    [400, 'Bad Content-Length'],
  ],
  [
    'too many headers',
    valid.replace('Contact:', `${'X: y\r\n'.repeat(MAX_HEADERS)}Contact:`),
    [400, 'Too Many Headers'],
  ],
  [
    'too many Via lines',
    valid.replace('To:', `${'Via: SIP/2.0/UDP h\r\n'.repeat(MAX_VIAS)}To:`),
    [400, 'Too Many Via Headers'],
  ],
  [
    'too many Via values',
    valid.replace('branch=z9hG4bKtest', `branch=z9hG4bKtest${', SIP/2.0/UDP h'.repeat(MAX_VIAS)}`),
    [400, 'Too Many Via Headers'],
  ],
  ['a long line', valid.replace('To:', `X: ${'y'.repeat(MAX_LINE_BYTES)}\r\nTo:`), [400, 'Header Line Too Long']],
  ['a long Request-URI', valid.replace('sip:bob', `sip:${'b'.repeat(MAX_LINE_BYTES)}`), [414, 'Request-URI Too Long']],
  ['a large message', `${valid}${'x'.repeat(70_000)}`, [513, 'Message Too Large']],
  ['Max-Forwards above 255', valid.replace(': 70', ': 256'), [400, 'Bad Max-Forwards']],
  ['CSeq 2^31', valid.replace('CSeq: 1 ', 'CSeq: 2147483648 '), [400, 'Bad CSeq']],
] as const) {
  // conformance: RFC 3261 8.1.1, 20 — mandatory headers and limits, with a precise reason
  test(`refused: ${what}`, () => {
    assert.deepEqual(refusal(text), expected);
    const result = parseMessage(text);
    assert.equal('error' in result && result.error.replyable !== undefined, what !== 'no Via');
  });
}

test('CSeq 2^31 - 1 and an empty body are fine', () => {
  assert.equal(parsed(valid.replace('CSeq: 1 ', 'CSeq: 2147483647 ')).cseq, 2 ** 31 - 1);
  assert.equal(parsed(request()).body, '');
});

test('an ACK and a response are never answered', () => {
  for (const text of [
    request({ method: 'ACK' }).replace('CSeq: 1', 'CSeq: x'),
    'SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h\r\n\r\n',
  ]) {
    const result = parseMessage(text);
    assert.ok('error' in result);
    assert.equal(result.error.replyable, undefined);
  }
});

test('UTF-8 and binary bodies survive byte for byte', () => {
  const body = Buffer.from([0, 255, 13, 10, 195, 164]);
  const head = request({ from: '"Jos\u00e9" <sip:a@h>;tag=1' }).replace('Content-Length: 0', 'Content-Length: 6');
  const message = parsed(Buffer.concat([Buffer.from(head, 'utf8'), body]));
  assert.deepEqual(Buffer.from(message.body, 'latin1'), body);
  assert.equal(Buffer.from(message.first('from')!, 'latin1').toString('utf8'), '"Jos\u00e9" <sip:a@h>;tag=1');
});

// conformance: RFC 3261 18.2.1, RFC 3581 4 — received and rport
test('where a request came from is noted in its topmost Via only', () => {
  const message = parsed(
    request({ via: 'SIP/2.0/UDP h.example:5080;rport;branch=z9hG4bK1, SIP/2.0/UDP far;branch=z9hG4bK2;rport' }),
  );
  message.stampReceived('192.0.2.7', 4711);
  const expected = 'SIP/2.0/UDP h.example:5080;rport=4711;branch=z9hG4bK1;received=192.0.2.7';
  assert.deepEqual(message.list('via'), [expected, 'SIP/2.0/UDP far;branch=z9hG4bK2;rport']);
  assert.equal(message.span('via').startsWith(`Via: ${expected}, `), true);
  const same = parsed(request({ via: 'SIP/2.0/UDP 192.0.2.7:5080;branch=z9hG4bK1' }));
  same.stampReceived('192.0.2.7', 4711);
  assert.equal(same.first('via'), 'SIP/2.0/UDP 192.0.2.7:5080;branch=z9hG4bK1');
});

test('what is not in the list of exceptions is copied verbatim and in order', () => {
  const headers = 'X-One: 1\r\nContact: <sip:a@h>\r\nx-two:2\r\n  folded\r\nP-Foo: \xff\r\n';
  const message = parsed(request({ headers }));
  const except = new Set([
    'via',
    'max-forwards',
    'from',
    'to',
    'call-id',
    'cseq',
    'contact',
    'content-length',
    'content-type',
  ]);
  assert.equal(message.spanExcept(except), 'X-One: 1\r\nx-two:2\r\n  folded\r\nP-Foo: \xff\r\n');
  assert.equal(
    message.spanExcept(new Set()),
    message.raw.slice(message.raw.indexOf('\r\n') + 2, message.raw.indexOf('\r\n\r\n') + 2),
  );
});

test('a value never starts a header of its own', () => {
  const wire = MessageWriter.request('OPTIONS', 'sip:a@h\r\nEvil: 1').header('X', 'a\r\nEvil: 2').finish();
  assert.doesNotMatch(wire, /\r\nEvil/);
});

const token = fc.string({ unit: fc.constantFrom(...'abcXYZ019-.!%*_+`~'), minLength: 1, maxLength: 20 });
const text = fc.string({ unit: fc.constantFrom(...'abc ,;<>"\\=:@\xe4'), maxLength: 40 });

// conformance: RFC 3261 7.3 — unknown headers keep their order, name and value
test('property: what was written is read back, and copied it is the same bytes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(token, text), { maxLength: 20 }),
      fc.string({ unit: fc.constantFrom('a', '\r', '\n', '\0', '\xff') }),
      (headers, body) => {
        const lines = headers.map(([name, value]) => `X-${name}: ${value}\r\n`).join('');
        const message = parsed(request({ headers: lines, body }));
        assert.equal(message.body, body);
        const skipped = new Set([
          'via',
          'max-forwards',
          'from',
          'to',
          'call-id',
          'cseq',
          'content-type',
          'content-length',
        ]);
        assert.equal(message.spanExcept(skipped), lines);
        const copied = parsed(
          MessageWriter.request('INVITE', message.requestUri)
            .copyExcept(message, new Set(['content-length']))
            .finish(body),
        );
        for (const [name, value] of headers) {
          assert.deepEqual([...copied.each(`x-${name.toLowerCase()}`)], [...message.each(`x-${name.toLowerCase()}`)]);
          assert.ok([...copied.each(`x-${name.toLowerCase()}`)].includes(value.trim()));
        }
      },
    ),
  );
});

test('property: any bytes give a message or an error, never an exception', () => {
  const base = request({ body: 'v=0\r\n' });
  const mutation = fc.tuple(
    fc.nat(base.length),
    fc.nat(6),
    fc.string({ unit: fc.constantFrom('\r', '\n', ' ', ':', ';', ',', '"', '<', '>', 'a', '\0', '\xff') }),
  );
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 6 }), (mutations) => {
      let wire = base;
      for (const [at, cut, insert] of mutations) wire = wire.slice(0, at) + insert + wire.slice(at + cut);
      const result = parseMessage(wire);
      if ('error' in result) assert.ok([400, 413, 414, 505, 513].includes(result.error.status));
      else {
        assert.equal(result.message.raw.slice(result.message.bodyStart, result.message.bodyEnd), result.message.body);
        for (const { name } of result.message.headerLines()) result.message.list(name);
      }
    }),
    { numRuns: 2000 },
  );
});

const silent = new Proxy({}, { get: () => () => undefined });
const user = fc.string({ unit: fc.constantFrom(...'abz019-_.!~*()&=+$'), minLength: 1, maxLength: 12 });

test('property: sip.js reads the same out of a valid message', () => {
  fc.assert(
    fc.property(user, token, token, fc.nat(2 ** 31 - 1), fc.boolean(), (name, tag, callId, cseq, quoted) => {
      const from = `${quoted ? '"A, \\"B\\"" ' : ''}<sip:${name}@example.com;transport=udp>;tag=${tag}`;
      const wire = request({
        method: 'OPTIONS',
        from,
        callId,
        cseq,
        branch: `z9hG4bK${name.replace(/[^a-z0-9]/g, '')}x`,
      });
      const ours = parsed(wire);
      const theirs = Parser.parseMessage(wire, silent as never);
      assert.ok(theirs !== undefined && 'ruri' in theirs, 'sip.js refused it');
      assert.equal(ours.callId, theirs.callId);
      assert.equal(ours.cseq, theirs.cseq);
      assert.equal(ours.fromTag, theirs.fromTag);
      assert.equal(ours.via.branch, theirs.viaBranch);
      assert.equal(ours.method, theirs.method);
    }),
    { numRuns: 100 },
  );
});
