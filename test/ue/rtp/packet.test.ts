import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AudioStream } from '../../../src/ue/rtp/audio-stream.ts';
import { expectedFrame, FRAME_BYTES, readRtp, writeRtp } from '../../../src/ue/rtp/packet.ts';

test('a packet is read as it was written; other bytes are not RTP', () => {
  const packet = {
    payloadType: 104,
    sequence: 65_535,
    timestamp: 4_294_967_295,
    ssrc: 1,
    payload: expectedFrame(1, 65_535),
  };
  assert.deepEqual(readRtp(writeRtp(packet)), packet);
  assert.equal(readRtp(Buffer.alloc(11)), null);
  assert.equal(readRtp(Buffer.from([22, 254, 253, ...Buffer.alloc(20)])), null);
});

test('frames of neighbouring packets and of other senders differ', () => {
  const frame = expectedFrame(7, 1);
  assert.equal(frame.length, FRAME_BYTES);
  assert.ok(!frame.equals(expectedFrame(7, 2)));
  assert.ok(!frame.equals(expectedFrame(8, 1)));
});

test('one wrong byte, a gap and a stranger are each counted as what they are', async () => {
  const [listener, sender, stranger] = await Promise.all([1, 2, 3].map(() => AudioStream.open('127.0.0.1')));
  listener!.start({ address: '127.0.0.1', port: sender!.port }, 104);
  stranger!.start({ address: '127.0.0.1', port: listener!.port }, 104);
  sender!.start({ address: '127.0.0.1', port: listener!.port }, 104);
  await listener!.received(3);
  assert.equal(listener!.counters.corrupt, 0);
  assert.ok(listener!.counters.strangers > 0);
  assert.equal(listener!.counters.source, `127.0.0.1:${sender!.port}`);
  for (const stream of [listener!, sender!, stranger!]) stream.close();
});
