import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { silentLogger } from '../../../src/base/log.ts';
import { Metrics } from '../../../src/base/metrics.ts';
import { Mdc1Client } from '../../../src/mf/bootstrap/mdc1-client.ts';
import { BootstrapProxy } from '../../../src/mf/bootstrap/proxy.ts';
import { CREDIT_BYTES } from '../../../src/mf/bootstrap/stream.ts';
import { FakeEngine, type FakePort } from '../fake-engine.ts';

const REF = { key: 'ctx#1', streamId: 0 };
const log = silentLogger;

describe('bootstrap stream', () => {
  let server: Server;
  let mdc1: Mdc1Client;
  let engine: FakeEngine;
  let proxy: BootstrapProxy;
  let port: FakePort;

  beforeEach(() => {
    engine = new FakeEngine();
    mdc1 = new Mdc1Client({ allowPlainHttp: false, maxSockets: 8, timeoutMs: 300 });
    const limits = { maxResponseBytes: 100_000_000, idleMs: 300 };
    proxy = new BootstrapProxy({ engine, mdc1, limits, log, metrics: new Metrics() });
  });
  afterEach(async () => {
    proxy.endAll(REF.key);
    assert.equal(proxy.size, 0);
    mdc1.close();
    server?.closeAllConnections();
    await new Promise((resolve) => server?.close(resolve));
  });

  async function serve(listener: RequestListener, peerMaxMessageSizeBytes = 65_536): Promise<void> {
    server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const at = (server.address() as AddressInfo).port;
    const replaceHttpUrl = `http://127.0.0.1:${at}/t/`;
    proxy.serve(REF, { replaceHttpUrl, address: '127.0.0.1', port: at, peerMaxMessageSizeBytes });
    port = engine.ports.get(`${REF.key} ${REF.streamId}`)!;
  }
  const say = (text: string) => port.onMessage(Buffer.from(text), 'binary');
  const heard = () => Buffer.concat(port.sent).toString('latin1');
  /** Turns of the event loop until `done`; the test runner's own timeout ends it otherwise. */
  const until = async (done: () => boolean) => {
    while (!done()) await new Promise(setImmediate);
  };

  // conformance: R27 — credit only when everything that came was answered
  test('gives credit back when a request is answered, and not before', async () => {
    let answer: () => void = () => undefined;
    await serve((_, response) => {
      answer = () => response.end('hello');
    });
    assert.equal(port.credit, CREDIT_BYTES);
    const request = 'GET / HTTP/1.1\r\n\r\n';
    let asked = false;
    server.on('request', () => {
      asked = true;
    });
    say(request);
    await until(() => asked);
    assert.equal(port.credit, CREDIT_BYTES);
    answer();
    await until(() => heard().endsWith('hello'));
    await until(() => port.credit > CREDIT_BYTES);
    assert.equal(port.credit, CREDIT_BYTES + request.length + 16);
    // A request in pieces: each piece is given back, or a long one could never be finished.
    say('GET / HT');
    await until(() => port.credit === CREDIT_BYTES + request.length + 16 + 8 + 16);
  });

  // conformance: R29 — a slow UE slows the reading from MDC1; nothing piles up in the MF
  test('a UE that takes nothing stops the source', async () => {
    const total = 64 << 20;
    let written = 0;
    await serve((_, response) => {
      response.writeHead(200, { 'Content-Length': total });
      const more = () => {
        while (written < total) {
          written += 65_536;
          if (!response.write(Buffer.alloc(65_536))) {
            response.once('drain', more);
            return;
          }
        }
        response.end();
      };
      more();
    });
    port.writable = false;
    say('GET / HTTP/1.1\r\n\r\n');
    let before = -1;
    while (written === 0 || written !== before) {
      before = written;
      for (let i = 0; i < 2_000; i++) await new Promise(setImmediate);
    }
    // What kernel buffers and one message hold, and no more; and no timer ends a response because the UE is slow.
    assert.ok(written < total / 2, `${written} bytes were taken from the source`);
    port.writable = true;
    port.onWritable();
    await until(() => port.sent.reduce((sum, message) => sum + message.length, 0) > total);
  });

  // conformance: ue-side 6.3 (3, 4) — the head inside the first message, bodies cut to what the UE takes
  test('messages fit the UE, the head is whole inside the first one', async () => {
    await serve((_, response) => {
      response.setHeader('X-Long', 'x'.repeat(2_000));
      response.setHeader('ETag', '"1"');
      response.end('y'.repeat(5_000));
    }, 1_024);
    say('GET / HTTP/1.1\r\n\r\n');
    await until(() => heard().endsWith('y'.repeat(5_000)));
    assert.ok(port.sent.every((message) => message.length <= 1_024));
    const first = Buffer.from(port.sent[0]!).toString();
    assert.match(first, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(first, /\r\nETag: "1"\r\n/);
    assert.match(first, /\r\nContent-Length: 5000\r\n/);
    assert.ok(first.includes('\r\n\r\n'));
    assert.ok(!first.includes('X-Long'));
  });

  test('HEAD is answered with the length and without the body', async () => {
    await serve((request, response) => {
      assert.equal(request.method, 'HEAD');
      response.writeHead(200, { 'Content-Length': '12345' }).end();
    });
    say('HEAD / HTTP/1.1\r\n\r\n');
    await until(() => heard().includes('\r\n\r\n'));
    assert.match(heard(), /Content-Length: 12345\r\n\r\n$/);
  });

  // conformance: ue-side 6.3 (9) — identity never comes from headers of the UE
  test('what a UE says of itself does not travel on, what it says of content does', async () => {
    let headers: Record<string, unknown> = {};
    await serve((request, response) => {
      headers = request.headers;
      response.end('x');
    });
    say(
      'GET / HTTP/1.1\r\nHost:\r\nIf-None-Match:\r\nCookie: a=b\r\nX-User: mallory\r\nConnection: close\r\nUser-Agent: phone\r\n\r\n',
    );
    await until(() => heard().endsWith('x'));
    assert.deepEqual(Object.keys(headers).sort(), ['connection', 'host', 'if-none-match', 'user-agent']);
    assert.equal(headers.connection, 'keep-alive');
    assert.match(String(headers.host), /^127\.0\.0\.1:\d+$/);
  });

  test('MDC1 down is 502; silent is 504; a pause inside a body resets the stream', async () => {
    await serve((request, response) => {
      if (request.url === '/t/stops') response.writeHead(200, { 'Content-Length': 10 }).write('12345');
    });
    say('GET /silent HTTP/1.1\r\n\r\n');
    await until(() => heard().includes('\r\n\r\n'));
    assert.match(heard(), /^HTTP\/1\.1 504 /);
    say('GET /stops HTTP/1.1\r\n\r\n');
    await until(() => engine.log.includes(`resetStream ${REF.key}`));
    assert.equal(proxy.size, 0);
    const refused = new FakeEngine();
    const other = new BootstrapProxy({
      engine: refused,
      mdc1,
      limits: { maxResponseBytes: 1e6, idleMs: 300 },
      log,
      metrics: new Metrics(),
    });
    const target = { replaceHttpUrl: 'http://127.0.0.1:9/t/', peerMaxMessageSizeBytes: 65_536 };
    other.serve(REF, { ...target, address: '127.0.0.1', port: 9 });
    const down = refused.ports.get('ctx#1 0')!;
    const answers = () => Buffer.concat(down.sent).toString();
    down.onMessage(Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'binary');
    await until(() => answers().includes('available'));
    assert.match(answers(), /^HTTP\/1\.1 502 /);
    // MDC1 in clear stays on this host, whatever an AS asks for.
    other.serve(REF, { ...target, address: '192.0.2.1', port: 80 });
    down.onMessage(Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'binary');
    await until(() => answers().split('HTTP/1.1 502').length === 3);
    other.endAll(REF.key);
  });

  test('too long an answer is 502; too many requests at once and garbage reset the stream', async () => {
    await serve((_, response) => response.writeHead(200, { 'Content-Length': 2e8 }).write('x'));
    say('GET / HTTP/1.1\r\n\r\n');
    await until(() => heard().includes('\r\n\r\n'));
    assert.match(heard(), /^HTTP\/1\.1 502 /);
    say('GET / HTTP/1.1\r\n\r\n'.repeat(33));
    assert.equal(engine.log.at(-1), `resetStream ${REF.key}`);
    assert.equal(proxy.size, 0);
  });

  for (const [what, text] of [
    ['a header block above 16 KiB', `GET / HTTP/1.1\r\nA: ${'x'.repeat(16 * 1024)}\r\n\r\n`],
    ['a header block above 16 KiB without an end', `GET / HTTP/1.1\r\nA: ${'x'.repeat(16 * 1024)}`],
    ['no HTTP at all', '\x16\x03\x01\x00\xff\r\n\r\n'],
    ['chunked framing', 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ] as const) {
    // conformance: ue-side 9 — an HTTP header above 16 KiB, or no HTTP, resets the bootstrap stream
    test(`${what} resets the stream, and MDC1 hears nothing of it`, async () => {
      let asked = 0;
      await serve((_, response) => {
        asked++;
        response.end('x');
      });
      say(text);
      assert.equal(engine.log.at(-1), `resetStream ${REF.key}`);
      assert.equal(proxy.size, 0);
      assert.equal(asked, 0);
    });
  }

  // conformance: ue-side 6.3 — responses of the UE are ignored
  test('a response from the UE is ignored, and its next request served', async () => {
    await serve((_, response) => response.end('served'));
    say('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n');
    await until(() => heard().endsWith('served'));
    assert.equal(heard().split('HTTP/1.1 ').length, 2);
  });

  test('a stream that ends aborts what it was waiting for', async () => {
    let ended = false;
    let asked = false;
    await serve((request) => {
      asked = true;
      request.on('close', () => {
        ended = true;
      });
    });
    say('GET / HTTP/1.1\r\n\r\n');
    await until(() => asked);
    port.onClosed('peer');
    await until(() => ended);
    assert.equal(proxy.size, 0);
    assert.equal(port.sent.length, 0);
  });

  test('another target for a stream that is served takes effect with the next request', async () => {
    await serve((request, response) => response.end(request.url));
    const { port: at } = server.address() as AddressInfo;
    const target = { address: '127.0.0.1', port: at, peerMaxMessageSizeBytes: 65_536 };
    proxy.serve(REF, { ...target, replaceHttpUrl: `http://127.0.0.1:${at}/new/` });
    assert.equal(engine.ports.size, 1);
    say('GET /a?b HTTP/1.1\r\n\r\n');
    await until(() => heard().endsWith('/new/a?b'));
  });
});
