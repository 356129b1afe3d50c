import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { MAX_STREAM_ID, type PlainAssociation } from '../../src/ndc/association.ts';
import {
  certificateA,
  certificateB,
  connectedPair,
  describe,
  ORDERED,
  opened,
  reached,
  reserveLocal,
} from './support.ts';

async function closeAll(...associations: PlainAssociation[]): Promise<void> {
  await Promise.all(associations.map((association) => association.close()));
}

test('two shims without ICE connect and keep kinds, sizes and boundaries', async () => {
  const { a, b } = await connectedPair([0, MAX_STREAM_ID]);
  for (const size of [0, 1, 65_536, 262_144]) {
    const data = randomBytes(size);
    const binary = b.next('message');
    assert.equal(a.send(0, data, 'binary'), true);
    assert.deepEqual(await binary, { streamId: 0, kind: 'binary', data });
    const text = a.next('message');
    assert.equal(b.send(MAX_STREAM_ID, 'ß'.repeat(size >> 1), 'text'), true);
    assert.deepEqual(await text, { streamId: MAX_STREAM_ID, kind: 'text', data: Buffer.from('ß'.repeat(size >> 1)) });
  }
  assert.equal(a.counters().messagesSent, 4);
  assert.equal(a.counters().bytesSent, b.counters().bytesReceived);
  await closeAll(a, b);
});

test('what cannot be sent is refused: unknown or closed stream, too large for the far end', async () => {
  const { a, b } = await connectedPair([0]);
  assert.equal(a.send(5, 'x', 'text'), false);
  assert.equal(a.addStream(ORDERED(0)), false);
  assert.equal(a.addStream(ORDERED(MAX_STREAM_ID + 1)), false);
  a.setMaxMessageSize(10);
  assert.throws(() => a.send(0, 'x'.repeat(11), 'text'), { code: 'MEDIA_MESSAGE_TOO_LARGE' });
  assert.equal(a.send(0, 'x'.repeat(10), 'text'), true);
  const closed = b.next('stream', ({ state }) => state === 'closed');
  a.closeStream(0);
  assert.equal(a.send(0, 'x', 'text'), false);
  await closed;
  await closeAll(a, b);
});

test('the end of one side is known to the other at once, with its reason', async () => {
  const { a, b } = await connectedPair([0]);
  const ended = b.next('state');
  await a.close();
  assert.deepEqual(await ended, { state: 'closed', reason: 'peerClosed' });
  assert.equal(a.state, 'closed');
  await b.close();
});

test('start is refused in any other state, and bad values change nothing', async () => {
  const [a, b] = await Promise.all([reserveLocal(certificateA), reserveLocal(certificateB)]);
  const far = describe(b, certificateB, 'active');
  await assert.rejects(a.start({ ...far, address: 'host.example' }), { code: 'MEDIA_BAD_REMOTE' });
  await assert.rejects(a.start({ ...far, fingerprints: [] }), { code: 'MEDIA_BAD_REMOTE' });
  assert.equal(a.state, 'reserved');
  assert.throws(() => a.moveTo('127.0.0.1', 1), { code: 'MEDIA_WRONG_STATE' });
  await a.start(far);
  await assert.rejects(a.start(far), { code: 'MEDIA_WRONG_STATE' });
  await closeAll(a, b);
});

test('a port in use is PORT_UNAVAILABLE', async () => {
  const a = await reserveLocal(certificateA);
  await assert.rejects(reserveLocal(certificateA, { port: a.localPort }), { code: 'PORT_UNAVAILABLE' });
  await a.close();
});

// conformance: R29 — a paused receiver holds its sender and loses nothing
test('while paused the sender fills up; after resume everything arrives', async () => {
  const { a, b } = await connectedPair([0], { highMarkBytes: 65_536 });
  const count = 400;
  let got = 0;
  const all = new Promise<void>((resolve) =>
    b.on('message', ({ data }) => {
      assert.equal(data.readUInt32BE(0), got);
      if (++got === count) resolve();
    }),
  );
  b.pause();
  let sent = 0;
  const push = () => {
    for (; sent < count; sent++) {
      const data = Buffer.alloc(16_384);
      data.writeUInt32BE(sent);
      if (!a.send(0, data, 'binary')) return;
    }
  };
  a.on('writable', push);
  push();
  assert.ok(sent < count, 'the sender must be refused while its reader is paused');
  b.resume();
  await all;
  assert.equal(sent, count);
  await closeAll(a, b);
});

// conformance: R29 — reading is paused, and sending goes on: its acknowledgements are among what is held back
test('while paused, what goes out is acknowledged, as in an echo whose way out is full', async () => {
  const { a, b } = await connectedPair([0], { highMarkBytes: 65_536 });
  const count = 100;
  b.pause();
  let got = 0;
  const all = new Promise<void>((resolve) => a.on('message', () => ++got === count && resolve()));
  // Both ways, so that the acknowledgements stand in a queue behind data.
  const data = randomBytes(16_384);
  while (a.send(0, data, 'binary'));
  for (let sent = 0; sent < count; sent++) while (!b.send(0, data, 'binary')) await b.next('writable');
  await all;
  await closeAll(a, b);
});

test('the far end may move: its new address is followed', async () => {
  const [a, b, other] = await Promise.all([certificateA, certificateB, certificateB].map((c) => reserveLocal(c)));
  const open = opened(a!, 0);
  await a!.start(describe(other!, certificateB, 'passive'), [ORDERED(0)]);
  await b!.start(describe(a!, certificateA, 'active'), [ORDERED(0)]);
  a!.moveTo('127.0.0.1', b!.localPort);
  await open;
  assert.deepEqual(a!.remote, { address: '127.0.0.1', port: b!.localPort });
  await closeAll(a!, b!, other!);
});

test('over IPv6, whatever the spelling of the address', async () => {
  const local = { bindAddress: '::1' };
  const [a, b] = await Promise.all([reserveLocal(certificateA, local), reserveLocal(certificateB, local)]);
  const open = opened(a, 0);
  const address = '0:0:0:0:0:0:0:1';
  await b.start(describe(a, certificateA, 'passive', { address }), [ORDERED(0)]);
  await a.start(describe(b, certificateB, 'active', { address }), [ORDERED(0)]);
  await open;
  await closeAll(a, b);
});

test('a stranger with a valid looking handshake is ignored and counted', async () => {
  const { a, b } = await connectedPair([0]);
  const before = b.outer.counters.datagramsIgnored;
  const stranger = createSocket('udp4').bind(0, '127.0.0.1');
  await once(stranger, 'listening');
  const handshake = Buffer.of(22, 254, 253, 0);
  const seen = new Promise<void>((resolve) => {
    let left = 10;
    // The far end may still have something to say: only the stranger's count.
    b.outer.onTrace = (sent, datagram) => !sent && handshake.equals(datagram) && --left === 0 && resolve();
  });
  for (let index = 0; index < 10; index++) stranger.send(handshake, b.localPort, '127.0.0.1');
  await seen;
  // The first four are kept for a leg that might still come (R20), the others are not.
  assert.ok(b.outer.counters.datagramsIgnored - before >= 6);
  const message = b.next('message');
  a.send(0, 'alive', 'text');
  assert.equal((await message).data.toString(), 'alive');
  stranger.close();
  await closeAll(a, b);
});

test('a wrong certificate fails both sides', async () => {
  const [a, b] = await Promise.all([reserveLocal(certificateA), reserveLocal(certificateB)]);
  const failed = a.next('state', ({ state }) => state === 'failed');
  await b.start(describe(a, certificateA, 'passive'), [ORDERED(0)]);
  await a.start(describe(b, certificateA, 'active'), [ORDERED(0)]);
  assert.equal((await failed).reason, 'fingerprintMismatch');
  await reached(b, 'failed', 'closed');
  await closeAll(a, b);
});
