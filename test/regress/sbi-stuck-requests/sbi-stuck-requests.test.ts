import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import Type from 'typebox';
import { silentLogger } from '../../../src/base/log.ts';
import { FLAG, frame, settingsFrame, TYPE } from '../../../src/sbi/http2/frames.ts';
import { Http2Peer } from '../../../src/sbi/http2-peer.ts';
import { SbiServer } from '../../../src/sbi/server.ts';

/**
 * A request whose body never came, or whose answer nobody read, counted as in flight for as long as its peer answered
 * PINGs: with `maxInFlight` of them, by mistake or by intent, everybody else got 503 for ever.
 */
async function served(t: { after(run: () => Promise<void>): void }) {
  const server = new SbiServer({
    host: '127.0.0.1',
    port: 0,
    log: silentLogger,
    maxInFlight: 4,
    streamIdleMs: 200,
  });
  const big = { text: 'x'.repeat(200_000) };
  server.route({ method: 'POST', path: '/things', body: Type.Object({}), handler: () => ({ status: 200, body: big }) });
  await server.listen();
  const session = http2.connect(server.origin, { settings: { initialWindowSize: 0 } });
  session.on('error', () => undefined);
  t.after(async () => {
    session.destroy();
    await server.close();
  });
  const post = { ':method': 'POST', ':path': '/things', 'content-type': 'application/json' };
  return { server, session, post };
}

test('requests whose body never comes do not keep others out', { timeout: 20_000 }, async (t) => {
  const { server, session, post } = await served(t);
  const stuck = Array.from({ length: 4 }, () => session.request(post));
  await Promise.all(
    stuck.map((stream) =>
      once(
        stream.on('error', () => undefined),
        'close',
      ),
    ),
  );
  assert.equal(server.inFlight, 0);
});

test('answers that nobody reads do not keep others out', { timeout: 20_000 }, async (t) => {
  const { server, session, post } = await served(t);
  const stuck = Array.from({ length: 4 }, () => session.request(post).end('{}'));
  for (const stream of stuck) stream.on('error', () => undefined);
  await Promise.all(stuck.map((stream) => once(stream, 'close')));
  assert.equal(server.inFlight, 0);
});

test('a producer that asks and never reads does not fill our memory', { timeout: 20_000 }, async (t) => {
  const closed = Promise.withResolvers<void>();
  const pings = Buffer.concat(Array.from({ length: 10_000 }, () => frame(TYPE.PING, 0, 0, new Uint8Array(8))));
  const server = createServer((socket) => {
    socket.on('error', () => closed.resolve());
    socket.on('close', () => closed.resolve());
    socket.write(settingsFrame([]));
    socket.write(frame(TYPE.SETTINGS, FLAG.ACK, 0));
    const more = (): void => void socket.write(pings, (error) => !error && more());
    more();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const peer = new Http2Peer(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    log: silentLogger,
    userAgent: 'test',
    maxUnsentBytes: 65_536,
  });
  t.after(async () => {
    await peer.close();
    server.close();
  });
  const asked = peer.exchange({ method: 'GET', path: '/', fields: '', body: '' }, 15_000);
  await assert.rejects(asked, { code: 'SBI_INTERRUPTED' });
  await closed.promise;
});
