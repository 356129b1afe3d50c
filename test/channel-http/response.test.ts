import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { responseMessages, streamedResponseMessages } from '../../src/channel-http/response-writer.ts';
import { type HttpResponse, MAX_SENT_MESSAGE_BYTES } from '../../src/channel-http/types.ts';
import { ImsdcError } from '../../src/errors.ts';
import type { ClientProfile } from './request-writer.ts';
import { ResponseReader } from './response-reader.ts';
import { bytes, cutAt, refuses, text } from './support.ts';

const response = (body: string, more: Partial<HttpResponse> = {}): HttpResponse => ({
  status: 200,
  headers: [['Content-Type', 'text/plain']],
  body: bytes(body),
  ...more,
});
const messages = (r: HttpResponse, peerMaxMessageSizeBytes = 65536, head = false) => [
  ...responseMessages(r, { peerMaxMessageSizeBytes, head }),
];
const readAll = (profile: ClientProfile, sent: readonly Uint8Array[]) => {
  const reader = new ResponseReader({ profile });
  return sent.flatMap((message) => reader.push(message));
};

// What deployed handsets need: Content-Length always, the whole head in the first message, messages of at most 16 KiB
test('E11: a package of 40,000 bytes', () => {
  const body = 'z'.repeat(40_000);
  const sent = messages(
    response(body, {
      headers: [
        ['Content-Type', 'application/zip'],
        ['ETag', '"7"'],
      ],
    }),
  );
  assert.deepEqual(
    sent.map((m) => m.length),
    [16384, 16384, sent[2]!.length],
  );
  const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nETag: "7"\r\nContent-Length: 40000\r\n\r\n';
  assert.equal(text(sent[0]!).slice(0, head.length + 1), `${head}z`);
  assert.equal(text(Buffer.concat(sent)), head + body);
});

// conformance: ue-side 6.3 (3, 4) — Content-Length, the head in the first message, pieces of at most 16 KiB
test('every deployed reader understands what every size of peer is sent', () => {
  const size = fc.oneof(fc.integer({ min: 150, max: 2000 }), fc.constantFrom(0, 1024, 65536));
  const profile = fc.constantFrom<ClientProfile>('china-mobile', 'china-telecom', 'browser');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40_000, size: 'max' }), size, profile, (body, peerMax, by) => {
      const sent = messages(response('', { body, headers: [['ETag', '1.0.8']] }), peerMax);
      const limit = Math.min(peerMax || MAX_SENT_MESSAGE_BYTES, MAX_SENT_MESSAGE_BYTES);
      assert.ok(sent.every((m) => m.length > 0 && m.length <= limit));
      assert.ok(text(sent[0]!).includes('\r\n\r\n'), 'the whole head in the first message');
      const [read, ...more] = readAll(by, sent);
      assert.deepEqual(more, []);
      assert.deepEqual([read!.status, read!.reason], [200, 'OK']);
      assert.deepEqual(Buffer.from(read!.body), Buffer.from(body));
      assert.deepEqual(read!.headers, [
        ['ETag', '1.0.8'],
        ['Content-Length', String(body.length)],
      ]);
    }),
    { numRuns: 200 },
  );
});

test('messages are made one by one: nothing runs ahead of the channel', () => {
  const body = new Uint8Array(100_000);
  const sending = responseMessages(response('', { body }), { peerMaxMessageSizeBytes: 65536 });
  let sent = 0;
  const pull = () => {
    const next = sending.next();
    if (!next.done) sent += next.value.length;
    return !next.done;
  };
  assert.ok(pull() && pull());
  assert.equal(sent, 2 * MAX_SENT_MESSAGE_BYTES);
  while (pull());
  assert.ok(sent > 100_000);
});

test('no body where there must be none, and yet a Content-Length', () => {
  const one = (r: HttpResponse, head = false) => {
    const sent = messages(r, 65536, head);
    assert.equal(sent.length, 1);
    return text(sent[0]!);
  };
  const bare = { headers: [] };
  assert.equal(one(response('', { ...bare, status: 304 })), 'HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n');
  assert.equal(one(response('x', { ...bare, status: 204 })), 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n');
  assert.equal(one(response('', bare)), 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
  assert.equal(one(response('hello', bare), true), 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n');
});

test('what belongs to one hop is left out, 1xx and nonsense are refused', () => {
  const headers: [string, string][] = [
    ['Connection', 'close'],
    ['transfer-encoding', 'chunked'],
    ['Content-Length', '9'],
    ['X', 'y'],
  ];
  assert.equal(text(messages(response('a', { headers }))[0]!), 'HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 1\r\n\r\na');
  for (const status of [100, 101, 199, 600, 200.5, Number.NaN]) {
    refuses(() => messages(response('', { status })), 'CHANNEL_HTTP_UNSUPPORTED');
  }
  refuses(() => messages(response('', { headers: [['A', 'b\r\nSet-Cookie: x']] })), 'CHANNEL_HTTP_BAD_HEAD');
  refuses(() => messages(response('', { reason: 'OK\r\nA: b' })), 'CHANNEL_HTTP_BAD_HEAD');
});

test('a small message size costs the lesser headers, never the head', () => {
  const headers: [string, string][] = [
    ['X-Long', 'x'.repeat(700)],
    ['ETag', '"7"'],
    ['Content-Security-Policy', "default-src 'none'"],
    ['Content-Type', 'text/html'],
    ['X-Short', 'y'],
  ];
  const first = text(messages(response('body', { headers }), 1024)[0]!);
  assert.match(first, /X-Long/);
  const small = text(messages(response('body', { headers }), 200)[0]!);
  assert.equal(
    small,
    'HTTP/1.1 200 OK\r\nETag: "7"\r\nContent-Security-Policy: default-src \'none\'\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nbody',
  );
  refuses(() => messages(response('body', { headers }), 60), 'CHANNEL_HTTP_HEAD_TOO_LARGE');
});

const stream = (sizes: number[], contentLength: number, peerMaxMessageSizeBytes = 1024) => {
  const state = { pulled: 0 };
  async function* pieces() {
    for (const size of sizes) {
      state.pulled++;
      yield new Uint8Array(size).fill(97);
    }
  }
  const sent = streamedResponseMessages({ status: 200, headers: [] }, contentLength, pieces(), {
    peerMaxMessageSizeBytes,
  });
  return { state, sent };
};

test('a streamed body gives the same bytes, however the source cuts it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 5000 }), { maxLength: 8 }), async (sizes) => {
      const total = sizes.reduce((a, b) => a + b, 0);
      const got: Uint8Array[] = [];
      for await (const message of stream(sizes, total).sent) {
        assert.ok(message.length > 0 && message.length <= 1024);
        got.push(message);
      }
      const [read] = readAll('china-mobile', got);
      assert.equal(text(read!.body), 'a'.repeat(total));
    }),
    { numRuns: 100 },
  );
});

test('a slow channel stops the source', async () => {
  const { state, sent } = stream([2000, 2000, 2000], 6000);
  await sent.next();
  await sent.next();
  assert.equal(state.pulled, 1);
  for await (const _ of sent);
  assert.equal(state.pulled, 3);
});

test('a source that is shorter or longer than announced is an error, told as soon as it is known', async () => {
  for (const [sizes, announced] of [
    [[10, 10], 30],
    [[10, 30], 30],
    [[31], 30],
    [[], 30],
  ] as [number[], number][]) {
    const failing = async () => {
      for await (const _ of stream(sizes, announced).sent);
    };
    await assert.rejects(
      failing,
      (error) => error instanceof ImsdcError && error.code === 'CHANNEL_HTTP_LENGTH_MISMATCH',
    );
  }
});

// The client side, as forgiving as the handsets (ue-side.md 6.2).
test('without Content-Length: done at the first message, never, or an error', () => {
  const sent = ['HTTP/1.1 200 OK\r\n\r\nhello', ' world'].map(bytes);
  const reader = new ResponseReader({ profile: 'china-mobile' });
  assert.deepEqual(
    reader.push(sent[0]!).map((r) => text(r.body)),
    ['hello'],
  );
  assert.deepEqual(readAll('china-telecom', sent), []);
  refuses(() => readAll('browser', sent), 'CHANNEL_HTTP_UNSUPPORTED', /without Content-Length/);
});

test('china-mobile reads the head from the first message only, the others wait for it', () => {
  const sent = ['HTTP/1.1 200 OK\r\nContent-Le', 'ngth: 2\r\n\r\nhi'].map(bytes);
  refuses(() => readAll('china-mobile', sent), 'CHANNEL_HTTP_BAD_HEAD', /first message/);
  assert.equal(text(readAll('china-telecom', sent)[0]!.body), 'hi');
  assert.equal(text(readAll('browser', sent)[0]!.body), 'hi');
});

test('304 and 204 are complete without a body, progress is told, limits hold', () => {
  assert.deepEqual(
    readAll('browser', [
      bytes('HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\nHTTP/1.1 204\r\nContent-Length: 0\r\n\r\n'),
    ]).map((r) => r.status),
    [304, 204],
  );
  const reader = new ResponseReader({ profile: 'browser', maxBodyBytes: 10 });
  reader.push(bytes('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345'));
  assert.equal(reader.receivedBodyBytes, 5);
  refuses(
    () =>
      new ResponseReader({ profile: 'browser', maxBodyBytes: 10 }).push(
        bytes('HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n'),
      ),
    'CHANNEL_HTTP_BODY_TOO_LARGE',
  );
  const endless = new ResponseReader({ profile: 'china-telecom', maxBodyBytes: 10 });
  refuses(() => endless.push(bytes('HTTP/1.1 200 OK\r\n\r\n12345678901')), 'CHANNEL_HTTP_BODY_TOO_LARGE');
  refuses(
    () => readAll('browser', [bytes('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')]),
    'CHANNEL_HTTP_UNSUPPORTED',
  );
  refuses(() => readAll('browser', [bytes('NONSENSE\r\n\r\n')]), 'CHANNEL_HTTP_BAD_HEAD', /status line/);
});

test('however the byte stream is cut into messages, the same responses come out', () => {
  const cuts = fc.array(fc.noBias(fc.nat({ max: 9999 })), { maxLength: 20 });
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1, maxLength: 4 }), cuts, (bodies, at) => {
      const whole = Buffer.concat(bodies.flatMap((body) => messages(response('', { body }))));
      assert.deepEqual(
        readAll('browser', cutAt(whole, at)).map((r) => Buffer.from(r.body)),
        bodies.map((body) => Buffer.from(body)),
      );
    }),
    { numRuns: 300 },
  );
});
