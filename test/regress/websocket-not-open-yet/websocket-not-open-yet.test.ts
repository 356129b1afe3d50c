import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { WebSocketServer } from 'ws';
import { STREAM_LIMITS } from '../../../src/sip/transport/stream.ts';
import { WebSocketTransport } from '../../../src/sip/transport/websocket.ts';
import type { Destination } from '../../../src/sip/types.ts';

/**
 * What was sent while a WebSocket was being opened waited without a bound, as long as the peer let the opening take; and
 * whoever had sent then heard of a failure when the connection, long open, ended with an error.
 */
const LIMITS = { ...STREAM_LIMITS, maxBacklogBytes: 100_000, connectTimeoutMs: 30_000 };
const LARGE = 'x'.repeat(30_000);

async function sender() {
  const troubles: string[] = [];
  const sink = { received: () => undefined, broken: () => undefined, trouble: (what: string) => troubles.push(what) };
  const options = { limits: LIMITS, tls: undefined, allowedOrigins: [] };
  const transport = new WebSocketTransport({ address: '127.0.0.1', port: 0 }, sink, options);
  await transport.start();
  return { transport, troubles };
}

const at = (port: number): Destination => ({ transport: 'ws', address: '127.0.0.1', port });

test('what waits for a WebSocket to open has a bound, and fails when it never opens', async (t) => {
  const held: Socket[] = [];
  const silent = createServer((socket) => held.push(socket.on('error', () => undefined).resume())).listen(
    0,
    '127.0.0.1',
  );
  await once(silent, 'listening');
  const { transport, troubles } = await sender();
  t.after(async () => {
    silent.close();
    await transport.close();
  });
  const connected = once(silent, 'connection');
  const failures: string[] = [];
  const all = Promise.withResolvers<void>();
  for (let n = 0; n < 5; n++)
    transport.send(LARGE, at((silent.address() as AddressInfo).port), ({ message }) => {
      failures.push(message);
      if (failures.length === 5) all.resolve();
    });
  await connected;
  assert.deepEqual(failures, ['backlog full', 'backlog full']);
  assert.deepEqual(troubles, ['backlogFull', 'backlogFull']);
  for (const socket of held) socket.destroy();
  await all.promise;
});

test('what went out when it opened has not failed when the connection does', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'sip' });
  await once(server, 'listening');
  const { transport, troubles } = await sender();
  t.after(async () => {
    server.close();
    await transport.close();
  });
  const connected = once(server, 'connection') as Promise<[import('ws').WebSocket]>;
  const failures: Error[] = [];
  transport.send('INVITE', at((server.address() as AddressInfo).port), (error) => failures.push(error));
  const [socket] = await connected;
  const [data] = (await once(socket, 'message')) as [Buffer];
  assert.equal(data.toString(), 'INVITE');
  // No frame of RFC 6455: reserved bits.
  (socket as unknown as { _socket: Socket })._socket.write(Buffer.of(0xf1, 0));
  await once(socket, 'close');
  while (transport.connections > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(troubles, ['connectionFailed']);
  assert.deepEqual(failures, []);
});
