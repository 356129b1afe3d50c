import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  checkRequest,
  findSdp,
  formatUri,
  parseAddress,
  parseContentType,
  parseCSeq,
  parseRAck,
  parseReplaces,
  parseSessionExpires,
  parseUri,
  parseVia,
  replaceSdp,
  splitMultipart,
  uriEquals,
} from '../../../src/sip/message/index.ts';
import { parsed, request } from '../support.ts';

test('a sip URI in all its parts', () => {
  const uri = parseUri('sips:al%69ce;x=1:pw@[2001:db8::1]:5070;transport=TCP;lr?Subject=a%20b&X=');
  assert.ok(uri?.kind === 'sip');
  assert.deepEqual(
    { ...uri, params: [...uri.params] },
    {
      kind: 'sip',
      scheme: 'sips',
      user: 'al%69ce;x=1',
      password: 'pw',
      host: '[2001:db8::1]',
      port: 5070,
      params: [
        ['transport', 'TCP'],
        ['lr', undefined],
      ],
      headers: ['Subject=a%20b', 'X='],
    },
  );
});

for (const text of [
  'sip:alice@example.com',
  'sip:example.com',
  'sip:+1-212-555-1212:1234@gateway.com;user=phone',
  'sips:bob@[::1]:5061',
  'sip:a;b?c@h',
  'tel:+358-555-1234567;postd=pp22',
  'tel:863-1234;phone-context=+1-914-555',
  'tel:*21%23'.replace('%23', '#'),
  'urn:service:sos',
]) {
  test(`${text} is read and written back`, () => {
    const uri = parseUri(text);
    assert.ok(uri !== undefined);
    assert.equal(formatUri(uri), text);
  });
}

for (const text of [
  '',
  'sip',
  'sip:',
  ':x',
  'sip:@h',
  'sip:a@',
  'sip:a@h:99999',
  'sip:a@h:x',
  'sip:a%2@h',
  'sip:a@[::1',
  'sip:a b@h',
  'sip:a@h;x=1;x=2',
  'sip:a@h;;',
  'sip:a@b@c',
  'sip:a@h?x',
  'tel:',
  'tel:+',
  'tel:abc-xyz',
  '1a:b',
]) {
  test(`"${text}" is no URI`, () => assert.equal(parseUri(text), undefined));
}

// The examples of RFC 3261 19.1.4.
for (const [a, b, same] of [
  ['sip:%61lice@atlanta.com;transport=TCP', 'sip:alice@AtlanTa.CoM;Transport=tcp', true],
  ['sip:carol@chicago.com', 'sip:carol@chicago.com;newparam=5', true],
  ['sip:carol@chicago.com;newparam=5', 'sip:carol@chicago.com;security=on', true],
  [
    'sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com',
    'sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com',
    true,
  ],
  [
    'sip:alice@atlanta.com?subject=project%20x&priority=urgent',
    'sip:alice@atlanta.com?priority=urgent&subject=project%20x',
    true,
  ],
  ['SIP:ALICE@AtLanTa.CoM;Transport=udp', 'sip:alice@AtLanTa.CoM;Transport=UDP', false],
  ['sip:bob@biloxi.com', 'sip:bob@biloxi.com:5060', false],
  ['sip:bob@biloxi.com', 'sip:bob@biloxi.com;transport=udp', false],
  ['sip:bob@biloxi.com', 'sip:bob@biloxi.com:6000;transport=tcp', false],
  ['sip:carol@chicago.com', 'sip:carol@chicago.com?Subject=next%20meeting', false],
  ['sip:bob@phone21.boxesbybob.com', 'sip:bob@192.0.2.4', false],
  ['sip:carol@chicago.com;security=off', 'sip:carol@chicago.com;security=on', false],
  ['sip:a%40b@h', 'sip:a@h', false],
  ['tel:+1-201-555-0123', 'tel:+12015550123', true],
  ['tel:+12015550123', 'tel:12015550123', false],
  ['urn:service:sos', 'urn:service:sos', true],
  ['sip:a@h', 'sips:a@h', false],
] as const) {
  // conformance: RFC 3261 19.1.4 — URI comparison
  test(`${a} ${same ? 'equals' : 'differs from'} ${b}`, () => {
    assert.equal(uriEquals(parseUri(a)!, parseUri(b)!), same);
    assert.equal(uriEquals(parseUri(b)!, parseUri(a)!), same);
  });
}

test('name-addr, addr-spec and what is neither', () => {
  const quoted = parseAddress(' "A \\"B\\", C" <sip:a@h;lr>;tag=x;+sip.app-subtype="webrtc-datachannel"')!;
  assert.equal(quoted.display, '"A \\"B\\", C"');
  assert.equal(quoted.uri, 'sip:a@h;lr');
  assert.equal(quoted.params.get('+sip.app-subtype'), '"webrtc-datachannel"');
  const bare = parseAddress('tel:+123;tag=x');
  assert.deepEqual([bare?.uri, bare?.display, ...(bare?.params ?? [])], ['tel:+123', '', ['tag', 'x']]);
  assert.equal(parseAddress('<urn:service:sos>')?.uri, 'urn:service:sos');
  assert.equal(parseAddress('Gr\xfc\xdfe an <sip:a@h>')?.display, 'Gr\xfc\xdfe an');
  for (const bad of [
    '',
    '"x <sip:a@h>',
    '<sip:a@h',
    '< sip:a@h>',
    '<>',
    'sip:a@h?x=1',
    'x',
    '<a@h>',
    '<sip:a@h> x',
    '<sip:a@h>;',
    '"a" sip:b@h',
    '<sip:a@h>, <sip:b@h>',
  ]) {
    assert.equal(parseAddress(bad), undefined, bad);
  }
});

test('Via in its forms', () => {
  const via = parseVia('SIP / 2.0 / TLS [2001:db8::9]:5061 ; branch=z9hG4bK1;received=[::1];rport')!;
  assert.deepEqual(
    [via.transport, via.host, via.port, via.branch, via.wellFormed],
    ['TLS', '[2001:db8::9]', 5061, 'z9hG4bK1', true],
  );
  assert.equal(via.params.get('received'), '[::1]');
  assert.equal(parseVia('SIP/2.0/UDP h;;branch=1')?.wellFormed, false);
  assert.equal(parseVia('SIP/2.0/UDP h:99999')?.wellFormed, false);
  for (const bad of ['', 'HTTP/1.1/TCP h', 'SIP/2.0/UDP', 'SIP/2.0/UDP ;branch=1', 'SIP/2.0 h'])
    assert.equal(parseVia(bad), undefined, bad);
});

test('numbers and their headers', () => {
  assert.deepEqual(parseCSeq('0009 \t INVITE'), { number: 9, method: 'INVITE' });
  assert.deepEqual(parseRAck('776656 1 INVITE'), { rseq: 776656, cseq: 1, method: 'INVITE' });
  assert.deepEqual(parseSessionExpires('1800; refresher=UAC'), { seconds: 1800, refresher: 'uac' });
  assert.deepEqual(parseReplaces('a@b;from-tag=f;to-tag=t;early-only'), {
    callId: 'a@b',
    toTag: 't',
    fromTag: 'f',
    earlyOnly: true,
  });
  for (const bad of ['', 'x INVITE', '1', '-1 INVITE', '1 IN VITE', '2147483648 INVITE'])
    assert.equal(parseCSeq(bad), undefined, bad);
  for (const bad of ['0 1 INVITE', '1 INVITE', '1 1 INVITE x']) assert.equal(parseRAck(bad), undefined, bad);
  for (const bad of ['', 'x', '-1', '1800;refresher=me', '1800;;'])
    assert.equal(parseSessionExpires(bad), undefined, bad);
});

const MIXED = [
  'preamble',
  '--b"1',
  'Content-Type: application/sdp',
  'Content-Length: 5',
  '',
  'v=0\r\n',
  '--b"1',
  'Content-Type: application/pidf+xml; charset="utf-8"',
  'Content-ID: <x>',
  '',
  '<x>--b"1</x>\xff',
  '--b"1--',
  'epilogue',
].join('\r\n');

// conformance: R24 — SDP inside multipart is edited in place
test('the SDP of a multipart body is replaced and every other byte stays', () => {
  const message = parsed(request({ body: MIXED, contentType: 'multipart/mixed;boundary="b\\"1"' }));
  const span = findSdp(message)!;
  assert.equal(message.body.slice(span.start, span.end), 'v=0\r\n');
  const edited = replaceSdp(message.body, span, 'v=0\r\ns=-\r\n');
  assert.equal(edited, MIXED.replace('Content-Length: 5', 'Content-Length: 10').replace('v=0\r\n', 'v=0\r\ns=-\r\n'));
  assert.equal(replaceSdp(message.body, span, 'v=0\r\n'), MIXED);
});

test('parts, nested parts, and bodies that are not for us', () => {
  assert.equal(splitMultipart(MIXED, 'b"1')?.length, 2);
  assert.equal(splitMultipart(MIXED.replace('--b"1--', ''), 'b"1'), undefined);
  const nested = `--o\r\nContent-Type: multipart/alternative;boundary=i\r\n\r\n--i\r\nc: application/sdp\r\n\r\nv=0\r\n--i--\r\n\r\n--o--`;
  const message = parsed(request({ body: nested, contentType: 'multipart/mixed; boundary=o' }));
  const span = findSdp(message)!;
  assert.equal(message.body.slice(span.start, span.end), 'v=0');
  const plain = parsed(request({ body: 'v=0\r\n', contentType: 'Application/SDP; charset=x' }));
  assert.deepEqual(findSdp(plain), { start: 0, end: 5, partLengthAt: -1 });
  const zipped = parsed(request({ body: 'v=0\r\n', headers: 'Content-Encoding: gzip\r\n' }));
  assert.equal(findSdp(zipped), undefined);
  const encoded = MIXED.replace('Content-Length: 5', 'Content-Transfer-Encoding: base64');
  assert.equal(findSdp(parsed(request({ body: encoded, contentType: 'multipart/mixed;boundary="b\\"1"' }))), undefined);
  assert.equal(parseContentType('multipart/mixed ; boundary="a;b"')?.params.get('boundary'), 'a;b');
});

const POLICY = {
  methods: new Set(['INVITE', 'ACK']),
  schemes: new Set(['sip']),
  supported: new Set(['100rel']),
  forwards: true,
};
for (const [what, wire, status, headers] of [
  ['a method we do not have', request({ method: 'PUBLISH' }), 405, 'Allow: INVITE, ACK\r\n'],
  ['another scheme', request({ uri: 'mailto:x@h' }), 416, ''],
  ['headers in the Request-URI', request({ uri: 'sip:x@h?a=b' }), 400, ''],
  ['no hops left', request().replace('Max-Forwards: 70', 'Max-Forwards: 0'), 483, ''],
  ['an extension we lack', request({ headers: 'Require: 100rel, Foo\r\n' }), 420, 'Unsupported: Foo\r\n'],
  ['a bad Route', request({ headers: 'Route: sip:x?y\r\n' }), 400, ''],
] as const) {
  // conformance: RFC 3261 8.2, 16.3 — 405, 416, 420, 483 in the order of the RFC
  test(`checkRequest: ${what} is ${status}`, () => {
    const refusal = checkRequest(parsed(wire), POLICY);
    assert.deepEqual([refusal?.status, refusal?.headers], [status, headers]);
  });
}

test('checkRequest: nothing to object to, and an ACK may require anything', () => {
  assert.equal(checkRequest(parsed(request({ headers: 'Require: 100rel\r\nContact: *\r\n' })), POLICY), undefined);
  assert.equal(checkRequest(parsed(request({ method: 'ACK', headers: 'Require: foo\r\n' })), POLICY), undefined);
});
