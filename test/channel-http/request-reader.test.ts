import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_REQUESTS_PER_MESSAGE, RequestReader } from '../../src/channel-http/request-reader.ts';
import { header, MAX_HEAD_BYTES, MAX_HEADERS } from '../../src/channel-http/types.ts';
import { ImsdcError } from '../../src/errors.ts';
import { requestMessages } from './request-writer.ts';
import { bytes, cutAt, refuses, text } from './support.ts';

const read = (...messages: string[]) => {
  const reader = new RequestReader();
  return messages.flatMap((message) => reader.push(bytes(message)));
};

// conformance: 26.114 6.2.10.1 — Host has no meaning and may be missing or empty
test('the first requests of the deployed handsets and of a browser', () => {
  const forms: [string, string, [string, string][]][] = [
    [
      'GET /?Terminal_Vendor=X&Terminal_Model=Y HTTP/1.1\r\nIf-None-Match:\r\n\r\n',
      '/?Terminal_Vendor=X&Terminal_Model=Y',
      [['If-None-Match', '']],
    ],
    [
      'GET /applicationlist?begin-index=0&app-num=100&sdkVersion=1.1 HTTP/1.1\r\n\r\n',
      '/applicationlist?begin-index=0&app-num=100&sdkVersion=1.1',
      [],
    ],
    [
      'GET / HTTP/1.1\r\nHost: \r\nAccept: */*\r\n\r\n',
      '/',
      [
        ['Host', ''],
        ['Accept', '*/*'],
      ],
    ],
    ['GET http://x/y?z HTTP/1.0\r\nIf-None-Match:"7"\r\n\r\n', 'http://x/y?z', [['If-None-Match', '"7"']]],
    ['\r\n\nGET / HTTP/1.1\nA:b\n\n', '/', [['A', 'b']]],
  ];
  for (const [message, target, headers] of forms) {
    const [request, ...more] = read(message);
    assert.deepEqual(more, []);
    assert.deepEqual([request!.method, request!.target, request!.headers], ['GET', target, headers]);
    assert.equal(request!.body.length, 0);
  }
});

test('a body by Content-Length, over several messages, with the next request behind it', () => {
  const messages = [
    'POST /a HTTP/1.1\r\nContent-Le',
    'ngth: 5\r\n\r\nhe',
    'llo',
    'GET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n',
  ];
  assert.deepEqual(
    read(...messages).map((r) => [r.method, r.target, text(r.body)]),
    [
      ['POST', '/a', 'hello'],
      ['GET', '/b', ''],
      ['GET', '/c', ''],
    ],
  );
  assert.deepEqual(read(...messages.slice(0, 2)), []);
});

test('a long head behind another request is found wherever it ends', () => {
  const [first, second] = ['GET /a HTTP/1.1\r\n\r\n', `GET /b HTTP/1.1\r\nA: ${'x'.repeat(2000)}\r\n\r\n`];
  for (let cut = 900; cut < first.length + second.length; cut += 7) {
    const stream = first + second;
    assert.deepEqual(
      read(stream.slice(0, cut), stream.slice(cut)).map((r) => r.target),
      ['/a', '/b'],
      String(cut),
    );
  }
  const reader = new RequestReader();
  const drip = [...(first + second)].flatMap((byte) => reader.push(bytes(byte)));
  assert.equal(drip.length, 2);
  assert.deepEqual(
    read(`${first}GET /b HTTP/1.1\r\nA: ${'x'.repeat(980)}`, `\r\n\r\n${'GET /c HTTP/1.1\r\n\r\n'.repeat(3)}`).length,
    5,
  );
});

// conformance: 26.114 6.2.10.1 — the network is always the HTTP server
test('responses from the UE are ignored with their bodies', () => {
  const reader = new RequestReader();
  assert.deepEqual(reader.push(bytes('HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nGET /x HTTP')), []);
  const requests = reader.push(bytes('/1.1\r\n\r\n!GET /y HTTP/1.1\r\n\r\nHTTP/1.1 204 x\r\n\r\n'));
  assert.deepEqual(
    requests.map((r) => r.target),
    ['/y'],
  );
  assert.equal(reader.ignoredResponses, 2);
});

const HOSTILE: [string, string, string, RegExp?][] = [
  ['garbage', 'hello world\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD', /'hello world' is not a request line/],
  ['binary', '\x16\x03\x01\x00\xff\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD', /'\?{5}' is not/],
  ['HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD'],
  ['HTTP/0.9', 'GET /\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD'],
  ['blank in the target', 'GET /a b HTTP/1.1\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD'],
  ['header without colon', 'GET / HTTP/1.1\r\nnonsense\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD', /'nonsense' is not a header/],
  ['blank before the colon', 'GET / HTTP/1.1\r\nHost : x\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD'],
  ['folded line', 'GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD'],
  ['empty name', 'GET / HTTP/1.1\r\n: b\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD'],
  ['NUL in a value', 'GET / HTTP/1.1\r\nA: b\0c\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD', /control character in A/],
  ['bare CR in a value', 'GET / HTTP/1.1\r\nA: b\rB: c\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD', /control character in A/],
  ['chunked', 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n', 'CHANNEL_HTTP_UNSUPPORTED', /Transfer-Encoding/],
  ['both framings', 'POST / HTTP/1.1\r\nContent-Length: 1\r\ntransfer-encoding: x\r\n\r\n', 'CHANNEL_HTTP_UNSUPPORTED'],
  [
    'two lengths',
    'POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
    'CHANNEL_HTTP_BAD_HEAD',
    /'1, 2'/,
  ],
  ['a list of lengths', 'POST / HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD'],
  ['negative length', 'POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD', /'-1'/],
  ['hex length', 'POST / HTTP/1.1\r\nContent-Length: 0x10\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD'],
  ['empty length', 'POST / HTTP/1.1\r\nContent-Length:\r\n\r\n', 'CHANNEL_HTTP_BAD_HEAD'],
  ['a length beyond numbers', `POST / HTTP/1.1\r\nContent-Length: ${'9'.repeat(30)}\r\n\r\n`, 'CHANNEL_HTTP_BAD_HEAD'],
  ['a body beyond 1 MiB', 'POST / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n', 'CHANNEL_HTTP_BODY_TOO_LARGE'],
  [
    'too many headers',
    `GET / HTTP/1.1\r\n${'a:b\r\n'.repeat(MAX_HEADERS + 1)}\r\n`,
    'CHANNEL_HTTP_BAD_HEAD',
    /more than 100/,
  ],
  ['too many at once', 'GET / HTTP/1.1\r\n\r\n'.repeat(MAX_REQUESTS_PER_MESSAGE + 1), 'CHANNEL_HTTP_TOO_MANY_REQUESTS'],
];
for (const [name, message, code, problem] of HOSTILE) {
  test(`hostile: ${name}`, () => {
    const reader = new RequestReader();
    refuses(() => reader.push(bytes(message)), code, problem);
    refuses(() => reader.push(bytes('GET / HTTP/1.1\r\n\r\n')), code);
  });
}

// Beyond 16 KiB of header the stream is reset.
// conformance: ue-side 9 — an HTTP header above 16 KiB
test('a head of 16 KiB passes, one byte more does not, whether it ends or not', () => {
  const head = (size: number) => {
    const frame = 'GET / HTTP/1.1\r\nA: \r\n\r\n';
    return frame.replace('A: ', `A: ${'x'.repeat(size - frame.length)}`);
  };
  assert.equal(header(read(head(MAX_HEAD_BYTES))[0]!.headers, 'a')!.length, MAX_HEAD_BYTES - 23);
  refuses(() => read(head(MAX_HEAD_BYTES + 1)), 'CHANNEL_HTTP_HEAD_TOO_LARGE');
  const reader = new RequestReader();
  const drip = bytes('x'.repeat(1024));
  for (let i = 0; i < 16; i++) assert.deepEqual(reader.push(drip), []);
  refuses(() => reader.push(drip), 'CHANNEL_HTTP_HEAD_TOO_LARGE');
});

test('what is announced allocates nothing, and a body byte by byte costs no more than its size', () => {
  const before = process.memoryUsage().arrayBuffers;
  const readers = Array.from({ length: 200 }, () => new RequestReader());
  for (const reader of readers) reader.push(bytes('POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n'));
  assert.ok(process.memoryUsage().arrayBuffers - before < 4_000_000);
  const one = readers[0]!;
  const byte = bytes('x');
  let requests = 0;
  for (let i = 0; i < 1_000_000; i++) requests += one.push(byte).length;
  assert.equal(requests, 1);
});

const token = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_'), minLength: 1, maxLength: 12 });
const request = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT'),
  target: token.map((path) => `/${path}?q=${path}`),
  headers: fc.array(
    fc.tuple(
      token.map((name) => `X-${name}`),
      token,
    ),
    { maxLength: 5 },
  ),
  body: fc.uint8Array({ maxLength: 300 }),
});

// conformance: ue-side 6.3 (1) — a byte stream per direction, whatever the messages
test('however the byte stream is cut into messages, the same requests come out', () => {
  const cuts = fc.array(fc.noBias(fc.nat({ max: 9999 })), { maxLength: 30 });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(request, fc.constantFrom('china-mobile', 'china-telecom', 'browser')), {
        minLength: 1,
        maxLength: 5,
      }),
      cuts,
      (sent, at) => {
        const stream = Buffer.concat(sent.flatMap(([r, profile]) => requestMessages(r, profile)));
        const reader = new RequestReader();
        const got = cutAt(stream, at).flatMap((message) => reader.push(message));
        assert.deepEqual(
          got.map((r) => [
            r.method,
            r.target,
            Buffer.from(r.body),
            r.headers.filter(([name]) => name.startsWith('X-')),
          ]),
          sent.map(([r]) => [r.method, r.target, Buffer.from(r.body), r.headers]),
        );
      },
    ),
    { numRuns: 500 },
  );
});

test('garbage never throws anything but the coded errors', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'GET / HTTP/1.1\r\n',
      '\r\n',
      '\n',
      'Content-Length: 5\r\n',
      'HTTP/1.1 200 OK\r\n',
      'A: b\r\n',
      ':',
      ' ',
      '\0',
    ),
    fc.string({ unit: 'binary', maxLength: 20 }),
  );
  let outcomes = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const reader = new RequestReader();
      try {
        for (const message of pieces) outcomes += reader.push(bytes(message)).length;
      } catch (error) {
        assert.ok(error instanceof ImsdcError && error.code.startsWith('CHANNEL_HTTP_'), String(error));
      }
    }),
    { numRuns: 3000 },
  );
  assert.ok(outcomes > 0, 'some requests among the garbage are read');
});
