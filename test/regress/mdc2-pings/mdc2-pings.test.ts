import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import { type WebSocket, WebSocketServer } from 'ws';
import { socketOpener } from '../../../src/mf/application/mdc2-socket.ts';
import { MDC2_SUBPROTOCOL } from '../../../src/services/mdc2.ts';

/** A DC AS that sends pings and does not read made the MF keep an answer to each of them, without a bound. */
const PING = Buffer.concat([Buffer.of(0x89, 125), Buffer.alloc(125, 0x78)]);
const LAST = Buffer.concat([Buffer.of(0x89, 4), Buffer.from('last')]);
const TEXT = Buffer.concat([Buffer.of(0x81, 4), Buffer.from('done')]);
/** Their answers are more than the buffers of two sockets hold. */
const PINGS = 250_000;

test('pings of a DC AS that does not read are not answered one by one; the last one is', {
  timeout: 60_000,
}, async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => MDC2_SUBPROTOCOL });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const connected = once(server, 'connection') as Promise<[WebSocket]>;
  const socket = socketOpener({ connectTimeoutMs: 10_000 })(
    {
      ...{ kind: 'mdc2', url: `ws://127.0.0.1:${port}/`, address: '127.0.0.1', port, ticket: undefined },
      ...{ terminationId: 'served', mediaId: 'm1', label: '', subprotocol: '', peerMaxMessageSizeBytes: 65_536 },
    },
    0,
    65_536,
  );
  const [far] = await connected;
  t.after(() => {
    socket.terminate();
    far.terminate();
    server.close();
  });
  const raw = (far as unknown as { _socket: Socket })._socket;
  raw.pause();
  const done = once(socket, 'message');
  raw.write(Buffer.concat([...Array.from({ length: PINGS }, () => PING), LAST, TEXT]));
  await done;
  assert.ok(socket.bufferedAmount < 1_000, `${socket.bufferedAmount} bytes wait`);
  const answered = new Promise<void>((resolve) => {
    far.on('pong', (data) => {
      if (data.toString() === 'last') resolve();
    });
  });
  raw.resume();
  await answered;
});
