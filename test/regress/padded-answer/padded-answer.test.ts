import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { silentLogger } from '../../../src/base/log.ts';
import { FLAG, FrameReader, frame, PREFACE, settingsFrame, TYPE } from '../../../src/sbi/http2/frames.ts';
import { encodeField } from '../../../src/sbi/http2/header-block.ts';
import { Http2Peer } from '../../../src/sbi/http2-peer.ts';

/**
 * Padding counts for flow control (RFC 9113 6.1, 6.9.1), and was not given back: a producer that pads could send less and
 * less, and after 16 MiB of padding nothing at all.
 */
const FRAMES = 40_000;
const PADDING = 255;

test('padding of answers is given back to the connection window', { timeout: 20_000 }, async (t) => {
  const granted: number[] = [];
  const server = createServer((socket: Socket) => {
    const reader = new FrameReader();
    let preface = PREFACE.length;
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      const skipped = Math.min(preface, chunk.length);
      preface -= skipped;
      reader.push(chunk.subarray(skipped), ({ type, streamId, payload }) => {
        if (type === TYPE.WINDOW_UPDATE && streamId === 0) granted.push(payload.readUInt32BE(0));
        if (type === TYPE.HEADERS) answer(socket, streamId);
      });
    });
    socket.write(settingsFrame([]));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const peer = new Http2Peer(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    log: silentLogger,
    userAgent: 'test',
    maxResponseBytes: 16 << 20,
  });
  t.after(async () => {
    await peer.close();
    server.close();
  });
  const get = { method: 'GET', path: '/', fields: '', body: '' };
  const { body } = await peer.exchange(get, 15_000);
  assert.equal(body.length, FRAMES);
  // What is owed goes out with the next request at the latest.
  await peer.exchange({ ...get, path: '/again' }, 15_000);
  const [initial = 0, ...later] = granted;
  const used = 2 * FRAMES * (1 + PADDING + 1);
  const left = 65_535 + initial + later.reduce((sum, bytes) => sum + bytes, 0) - used;
  assert.ok(left > (16 << 20) / 3, `${left} bytes are left of the window`);
});

function answer(socket: Socket, streamId: number): void {
  socket.write(frame(TYPE.HEADERS, FLAG.END_HEADERS, streamId, Buffer.from(encodeField(':status', '200'), 'latin1')));
  const padded = Buffer.alloc(1 + 1 + PADDING);
  padded.set([PADDING, 0x78]);
  const one = frame(TYPE.DATA, FLAG.PADDED, streamId, padded);
  socket.write(Buffer.concat(Array.from({ length: FRAMES - 1 }, () => one)));
  socket.write(frame(TYPE.DATA, FLAG.PADDED | FLAG.END_STREAM, streamId, padded));
}
