import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { STREAM_LIMITS } from '../../../src/sip/transport/stream.ts';
import { TcpTransport } from '../../../src/sip/transport/tcp.ts';
import type { SipTransport, TransportSink } from '../../../src/sip/transport/transport.ts';
import { WebSocketTransport } from '../../../src/sip/transport/websocket.ts';

/**
 * Whoever asks and never reads the answers made us keep them: keep-alives were answered into a buffer without a bound, and
 * a connection that was given up stayed for ever, because its last bytes were waited for.
 */
const LOCAL = { address: '127.0.0.1', port: 0 };
const SINK: TransportSink = { received: () => undefined, broken: () => undefined, trouble: () => undefined };

/** Until the transport has let go of all its connections; the limit of the test is the only clock. */
async function gone(transport: SipTransport): Promise<void> {
  while (transport.connections > 0) await turn();
}

const PINGS = 1_000;
const UNREAD = Buffer.alloc(32 << 20);
const LIMITS = { ...STREAM_LIMITS, maxBacklogBytes: 64 << 20 };
const OPTIONS = 'OPTIONS sip:as@x SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n';

/** Starts `transport`; the client is connected, and a message waits for it that it does not read. */
async function silentClient(t: TestContext, transport: TcpTransport): Promise<Socket> {
  await transport.start();
  const client = connect(transport.local.port, '127.0.0.1');
  t.after(async () => {
    client.destroy();
    await transport.close();
  });
  await once(client, 'connect');
  client.pause();
  const { port } = client.address() as { port: number };
  while (transport.connections === 0) await turn();
  transport.send(UNREAD, { transport: 'tcp', address: '127.0.0.1', port }, () => undefined);
  return client;
}

test('TCP: keep-alives of a peer that does not read are not answered', { timeout: 20_000 }, async (t) => {
  const pingsRead = Promise.withResolvers<void>();
  const transport = new TcpTransport(LOCAL, { ...SINK, received: () => pingsRead.resolve() }, LIMITS);
  const client = await silentClient(t, transport);
  client.write(`${'\r\n\r\n'.repeat(PINGS)}${OPTIONS}`);
  await pingsRead.promise;
  let bytes = 0;
  for await (const chunk of client) {
    bytes += (chunk as Buffer).length;
    if (bytes === UNREAD.length) client.write('\r\n\r\n');
    if (bytes > UNREAD.length) break;
  }
  assert.equal(bytes, UNREAD.length + 2, 'once it reads again, it is answered again');
});

test('TCP: an idle connection goes even when its peer never reads what is left', { timeout: 20_000 }, async (t) => {
  const limits = { ...LIMITS, idleTimeoutMs: 200 };
  const transport = new TcpTransport(LOCAL, SINK, limits);
  await silentClient(t, transport);
  await gone(transport);
});

test('TCP: a broken stream goes even when its peer never reads what is left', { timeout: 20_000 }, async (t) => {
  const transport = new TcpTransport(LOCAL, SINK, LIMITS);
  const client = await silentClient(t, transport);
  client.write('\rno SIP');
  await gone(transport);
});

for (const what of ['ping', 'keep-alive'] as const) {
  test(`WebSocket: a ${what} of a peer that does not read is not answered`, { timeout: 20_000 }, async (t) => {
    const pingsRead = Promise.withResolvers<void>();
    const sink = { ...SINK, received: () => pingsRead.resolve() };
    const transport = new WebSocketTransport(LOCAL, sink, { limits: LIMITS, tls: undefined, allowedOrigins: [] });
    await transport.start();
    const client = new WebSocket(`ws://127.0.0.1:${transport.local.port}/`, 'sip');
    t.after(async () => {
      client.terminate();
      await transport.close();
    });
    let connection: Socket | undefined;
    client.once('upgrade', (response) => {
      connection = response.socket;
    });
    await once(client, 'open');
    client.pause();
    const { port } = connection!.address() as { port: number };
    while (transport.connections === 0) await turn();
    transport.send(UNREAD, { transport: 'ws', address: '127.0.0.1', port }, () => undefined);
    const ask = () => (what === 'ping' ? client.ping() : client.send('\r\n\r\n'));
    for (let n = 0; n < PINGS; n++) ask();
    client.send(OPTIONS);
    await pingsRead.promise;
    let answers = 0;
    const answered = Promise.withResolvers<void>();
    const count = () => {
      answers++;
      answered.resolve();
    };
    client.on('pong', count);
    client.on('message', (data) => {
      if ((data as Buffer).length === UNREAD.length) ask();
      else count();
    });
    client.resume();
    await answered.promise;
    assert.equal(answers, 1, 'once it reads again, it is answered again');
  });
}
