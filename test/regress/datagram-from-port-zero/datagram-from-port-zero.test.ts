import assert from 'node:assert/strict';
import dgram, { type RemoteInfo, type Socket } from 'node:dgram';
import { syncBuiltinESMExports } from 'node:module';
import { after, before, test } from 'node:test';
import { OuterPort } from '../../../src/ndc/outer-port.ts';
import { STREAM_LIMITS } from '../../../src/sip/transport/stream.ts';
import type { TransportSink } from '../../../src/sip/transport/transport.ts';
import { UdpTransport } from '../../../src/sip/transport/udp.ts';
import { WebSocketTransport } from '../../../src/sip/transport/websocket.ts';
import { BINDING_REQUEST, encodeStun } from '../../../src/stun/message.ts';

/**
 * One datagram of anybody, with source port 0 (RFC 768 allows it, Linux delivers it), ended the AS, the dispatcher of all
 * workers and the embedded media worker: Node throws when something is sent to port 0, and the answer to a STUN request was.
 */
const NOBODY: RemoteInfo = { address: '192.0.2.7', port: 0, family: 'IPv4', size: 20 };
const STUN = encodeStun({ type: BINDING_REQUEST, transactionId: Buffer.from('transaction!') });
const OPTIONS = Buffer.from('OPTIONS sip:as@x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1;rport\r\n\r\n');
const LOCAL = { address: '127.0.0.1', port: 0 };

/** A datagram with that source takes privileges to send: it is put where the socket would put it. */
const sockets: Socket[] = [];
const { createSocket } = dgram;
before(() => {
  dgram.createSocket = ((options: dgram.SocketOptions) => {
    const socket = createSocket(options);
    sockets.push(socket);
    return socket;
  }) as typeof createSocket;
  syncBuiltinESMExports();
});
after(() => {
  dgram.createSocket = createSocket;
  syncBuiltinESMExports();
});

function sink() {
  const troubles: string[] = [];
  const texts: string[] = [];
  const made: TransportSink = {
    received: (bytes) => texts.push(bytes.toString()),
    broken: () => undefined,
    trouble: (_, detail) => troubles.push(detail),
  };
  return { made, troubles, texts };
}

test('SIP: what comes from port 0 is counted and goes no further', async () => {
  const { made, troubles, texts } = sink();
  const transport = new UdpTransport(LOCAL, made);
  await transport.start();
  sockets.at(-1)!.emit('message', STUN, NOBODY);
  sockets.at(-1)!.emit('message', OPTIONS, NOBODY);
  await transport.close();
  assert.deepEqual(
    troubles,
    Array.from({ length: 2 }, () => 'a datagram from port 0 of 192.0.2.7'),
  );
  assert.deepEqual(texts, []);
});

test('SIP: what is to go to port 0 (an SRV record may say so) fails as any other', async () => {
  const transport = new UdpTransport(LOCAL, sink().made);
  await transport.start();
  const failed = Promise.withResolvers<Error>();
  transport.send('x', { transport: 'udp', address: '127.0.0.1', port: 0 }, failed.resolve);
  assert.match((await failed.promise).message, /port 0/);
  await transport.close();
});

test('SIP over WebSocket: an address that no URL can have fails as any other', async () => {
  const options = { limits: STREAM_LIMITS, tls: undefined, allowedOrigins: [] };
  const transport = new WebSocketTransport({ address: '::1', port: 0 }, sink().made, options);
  await transport.start();
  const failed = Promise.withResolvers<Error>();
  transport.send('x', { transport: 'ws', address: 'fe80::1%lo', port: 80 }, failed.resolve);
  assert.match((await failed.promise).message, /no connection/);
  await transport.close();
});

test('media: what comes from port 0 is ignored, and nothing goes there', async () => {
  const port = await OuterPort.bind({ ...LOCAL, ice: false });
  sockets.at(-1)!.emit('message', STUN, NOBODY);
  port.send(STUN, NOBODY);
  assert.deepEqual(
    { ...port.counters },
    { datagramsReceived: 1, datagramsSent: 0, datagramsIgnored: 2, stunAnswered: 0 },
  );
  await port.release();
});
