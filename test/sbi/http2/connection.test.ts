import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { silentLogger } from '../../../src/base/log.ts';
import { FLAG, frame, numberFrame, settingsFrame, TYPE } from '../../../src/sbi/http2/frames.ts';
import { encodeField } from '../../../src/sbi/http2/header-block.ts';
import { Http2Peer, type RawRequest } from '../../../src/sbi/http2-peer.ts';

const log = silentLogger;
const get = (path: string, fields = ''): RawRequest => ({ method: 'GET', path, fields, body: '' });
const post = (path: string, body: string): RawRequest => ({ method: 'POST', path, fields: '', body });
const listen = (server: Server | http2.Http2Server) =>
  new Promise<string>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });

describe('against the HTTP/2 of node', () => {
  /** Runs `body` with a peer of a server that answers with `onStream`. */
  async function withServer(
    onStream: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
    body: (peer: Http2Peer, server: http2.Http2Server) => Promise<void>,
    options: http2.ServerOptions = {},
    more: object = {},
  ): Promise<void> {
    const server = http2.createServer(options);
    server.on('stream', (stream, headers) => {
      stream.on('error', () => undefined);
      onStream(stream, headers);
    });
    const peer = new Http2Peer(await listen(server), { log, userAgent: 'test', ...more });
    try {
      await body(peer, server);
    } finally {
      await peer.close();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  // conformance: RFC 9113 8.1, RFC 7541 — requests and responses, all octets that a value may have
  test('request and response fields, in every octet', () =>
    withServer(
      (stream, headers) => {
        const { authorization = '', 'user-agent': agent = '', ':path': path = '' } = headers;
        stream.respond({ ':status': 201, 'x-echo': authorization, 'x-agent': agent, 'x-path': path });
        stream.end();
      },
      async (peer) => {
        const visible = fc.stringMatching(/^[\x21-\x7e]([\x20-\x7e]{0,80}[\x21-\x7e])?$/);
        await fc.assert(
          fc.asyncProperty(visible, async (value) => {
            const { status, headers, body } = await peer.exchange(
              get('/a?b=c', encodeField('authorization', value)),
              2_000,
            );
            assert.deepEqual(
              [status, headers.get('x-echo'), headers.get('x-agent'), headers.get('x-path'), body],
              [201, value, 'test', '/a?b=c', ''],
            );
          }),
          { numRuns: 200 },
        );
        const all = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)).join('');
        assert.equal(
          (await peer.exchange(get('/', encodeField('authorization', all)), 2_000)).headers.get('x-echo'),
          all,
        );
      },
    ));

  // conformance: RFC 9113 5.2, 6.9 — flow control in both directions
  test('bodies larger than every window, many at once', () =>
    withServer(
      (stream) => {
        stream.respond({ ':status': 200 });
        stream.pipe(stream);
      },
      async (peer) => {
        const bodies = Array.from('abcdefäöü€✓𝄞', (letter, i) => letter.repeat(150_000 + i));
        const answers = await Promise.all(bodies.map((body) => peer.exchange(post('/', body), 5_000)));
        for (const [i, { body }] of answers.entries()) assert.ok(body === bodies[i], `body ${i}`);
        // More than the window of the connection in sum: it must be opened again.
        for (let i = 0; i < 60; i++) await peer.exchange(post('/', bodies.at(-1)!), 5_000);
      },
      { settings: { initialWindowSize: 1_000 } },
    ));

  test('head in several frames, no answer, a reset, a refusal, too long an answer', () =>
    withServer(
      (stream, headers) => {
        switch (headers[':path']) {
          case '/long-head':
            stream.respond({ ':status': 200, 'x-long': 'y'.repeat(20_000) });
            stream.end('end');
            return;
          case '/early-hints':
            stream.additionalHeaders({ ':status': 103 });
            stream.respond({ ':status': 200 }, { waitForTrailers: true });
            stream.on('wantTrailers', () => stream.sendTrailers({ 'x-trailer': '1' }));
            stream.end('body');
            return;
          case '/reset':
            stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
            return;
          case '/refused':
            stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
            return;
          case '/too-long':
            stream.respond({ ':status': 200 });
            stream.end('z'.repeat(200_000));
        }
      },
      async (peer) => {
        const long = await peer.exchange(get('/long-head'), 2_000);
        assert.equal(long.headers.get('x-long')!.length, 20_000);
        assert.equal(long.body, 'end');
        const hints = await peer.exchange(get('/early-hints'), 2_000);
        assert.deepEqual([hints.status, hints.body], [200, 'body']);
        await assert.rejects(peer.exchange(get('/reset'), 2_000), { code: 'SBI_INTERRUPTED' });
        await assert.rejects(peer.exchange(get('/refused'), 2_000), { code: 'SBI_UNAVAILABLE' });
        await assert.rejects(peer.exchange(get('/too-long'), 2_000), { code: 'SBI_MALFORMED' });
        await assert.rejects(peer.exchange(get('/silent'), 40), { code: 'SBI_TIMEOUT' });
        assert.equal(peer.inFlight, 0);
        assert.equal((await peer.exchange(get('/early-hints'), 2_000)).status, 200);
      },
      {},
      { maxResponseBytes: 100_000 },
    ));

  test('a peer that goes away finishes what it took; the next request finds a new session', () => {
    let sessions = 0;
    return withServer(
      (stream, headers) => {
        const answer = () => {
          stream.respond({ ':status': 200 });
          stream.end();
        };
        if (headers[':path'] !== '/last') return answer();
        stream.session!.goaway(0, stream.id);
        setImmediate(answer);
      },
      async (peer) => {
        const last = peer.exchange(get('/last'), 2_000);
        assert.equal((await last).status, 200);
        assert.equal((await peer.exchange(get('/next'), 2_000)).status, 200);
        assert.equal(sessions, 2);
      },
      {},
      { onConnected: () => sessions++ },
    );
  });

  test('requests of one turn wait for its end, and leave together', () => {
    const ends: (() => void)[] = [];
    let seen = 0;
    return withServer(
      (stream) => {
        seen++;
        stream.respond({ ':status': 204 }, { endStream: true });
      },
      async (peer) => {
        // The first one leaves when there is a connection.
        await peer.exchange(get('/connected'), 2_000);
        for (const end of ends.splice(0)) end();
        const all = [get('/1'), post('/2', 'ä'), get('/3')].map((request) => peer.exchange(request, 2_000));
        assert.deepEqual([ends.length, seen], [1, 1]);
        ends.pop()!();
        assert.deepEqual(
          (await Promise.all(all)).map(({ status }) => status),
          [204, 204, 204],
        );
      },
      {},
      { afterInput: (end: () => void) => void ends.push(end) },
    );
  });

  test('no more streams at once than the peer allows', () => {
    const open: http2.ServerHttp2Stream[] = [];
    return withServer(
      (stream) => {
        open.push(stream);
        if (open.length < 2) return;
        for (const one of open.splice(0)) {
          one.respond({ ':status': 200 });
          one.end();
        }
      },
      async (peer) => {
        const [first, second] = [peer.exchange(get('/1'), 2_000), peer.exchange(get('/2'), 2_000)];
        await Promise.all([first, second]);
        const third = peer.exchange(get('/3'), 2_000);
        const fourth = peer.exchange(get('/4'), 2_000);
        await assert.rejects(peer.exchange(get('/5'), 2_000), { code: 'SBI_CONGESTED' });
        await Promise.all([third, fourth]);
      },
      { settings: { maxConcurrentStreams: 2 } },
    );
  });
});

describe('against a peer that breaks the rules', () => {
  const OK = frame(
    TYPE.HEADERS,
    FLAG.END_HEADERS | FLAG.END_STREAM,
    1,
    Buffer.from(encodeField(':status', '200'), 'latin1'),
  );
  const SETTINGS = settingsFrame([]);

  /** What a request gets when the server says `bytes` after its settings. */
  async function answer(bytes: Buffer): Promise<string> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('data', () => socket.write(Buffer.concat([SETTINGS, bytes])));
    });
    const peer = new Http2Peer(await listen(server), { log, userAgent: 'test' });
    try {
      return await peer.exchange(get('/'), 60).then(
        ({ status, body }) => `${status} ${body}`,
        (error: { code: string }) => error.code,
      );
    } finally {
      await peer.close();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  // conformance: RFC 9113 5.4.1 — connection errors end the connection
  test('each violation ends the connection, the request knows', async () => {
    assert.equal(await answer(OK), '200 ');
    const padded = Buffer.concat([
      Buffer.from([3]),
      Buffer.from(encodeField(':status', '200'), 'latin1'),
      Buffer.alloc(3),
    ]);
    assert.equal(
      await answer(frame(TYPE.HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM | FLAG.PADDED, 1, padded)),
      '200 ',
    );
    assert.equal(await answer(Buffer.concat([frame(200, 0, 0, Buffer.alloc(9)), OK])), '200 ');
    const broken: [string, Buffer][] = [
      ['a huge frame', Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1])],
      ['padding beyond the frame', frame(TYPE.HEADERS, FLAG.END_HEADERS | FLAG.PADDED, 1, Buffer.from([9, 0x88]))],
      ['a body before its head', frame(TYPE.DATA, 0, 1, Buffer.from('x'))],
      ['a push', frame(TYPE.PUSH_PROMISE, FLAG.END_HEADERS, 1, Buffer.alloc(4))],
      ['a continuation of nothing', frame(TYPE.CONTINUATION, FLAG.END_HEADERS, 1, Buffer.alloc(1))],
      ['an interrupted block', Buffer.concat([frame(TYPE.HEADERS, 0, 1, Buffer.from([0x88])), OK])],
      ['an indexed field of an empty table', frame(TYPE.HEADERS, FLAG.END_HEADERS, 1, Buffer.from([0xbe]))],
      ['a short ping', frame(TYPE.PING, 0, 0, Buffer.alloc(3))],
      ['a short window update', frame(TYPE.WINDOW_UPDATE, 0, 0, Buffer.alloc(3))],
      ['HTTP/1.1', Buffer.from('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')],
    ];
    for (const [name, bytes] of broken) assert.equal(await answer(bytes), 'SBI_INTERRUPTED', name);
    const endless = Array.from({ length: 12 }, () => frame(TYPE.CONTINUATION, 0, 1, Buffer.alloc(4_000, 0x88)));
    assert.equal(
      await answer(Buffer.concat([frame(TYPE.HEADERS, 0, 1, Buffer.from([0x88])), ...endless])),
      'SBI_INTERRUPTED',
    );
    assert.equal(await answer(numberFrame(TYPE.RST_STREAM, 1, 7)), 'SBI_UNAVAILABLE');
    const head = frame(TYPE.HEADERS, FLAG.END_HEADERS, 1, Buffer.from([0x88]));
    const half = [head, frame(TYPE.DATA, 0, 1, Buffer.from('half')), numberFrame(TYPE.RST_STREAM, 1, 2)];
    assert.equal(await answer(Buffer.concat(half)), 'SBI_INTERRUPTED');
  });

  test('whatever bytes come, in whatever pieces, nothing escapes', async () => {
    const some = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc
        .tuple(fc.nat(10), fc.nat(255), fc.nat(3), fc.uint8Array({ maxLength: 30 }))
        .map(([type, flags, id, payload]) => frame(type, flags, id, payload)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(some, { maxLength: 6 }), async (parts) => {
        assert.match(await answer(Buffer.concat(parts)), /^(?:SBI_|\d)/);
      }),
      { numRuns: 60 },
    );
  });
});
