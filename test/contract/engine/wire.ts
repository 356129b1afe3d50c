import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import type { WorkerCommand } from '../../../src/mf/engine/options.ts';
import { decodeBody, decodeReply, encodeFrame, NO_HANDLE } from '../../../src/mf/worker/codec.ts';
import { certificateB } from '../../ndc/support.ts';
import { HELLO, RawWorker } from './raw-worker.ts';

const RESERVE = { bindAddress: '127.0.0.1', port: 0, ice: false, sharedHandle: 0, sharedGeneration: 0 };
const FIRST = { handle: 1, generation: 1 };

async function withWorker(command: WorkerCommand, body: (worker: RawWorker) => Promise<void>): Promise<void> {
  const worker = new RawWorker(command);
  try {
    await body(worker);
  } finally {
    await worker.kill();
  }
}

/** The protocol itself, with frames the engine client would never send. */
export function wireCases(command: WorkerCommand): void {
  test('a first frame that is not HELLO ends the worker', () =>
    withWorker(command, async (worker) => {
      worker.writeControl(encodeFrame('RESERVE', { requestId: 1, ...FIRST }, RESERVE));
      await worker.exited;
    }));

  test('another version, or a certificate or key that cannot be used, is refused, and the worker leaves', async () => {
    for (const [change, reason] of [
      [{ version: 99 }, 'VERSION_UNSUPPORTED'],
      [{ keyPem: certificateB.keyPem }, 'BAD_CERTIFICATE'],
      [{ certificatePem: 'no PEM' }, 'BAD_CERTIFICATE'],
    ] as const) {
      await withWorker(command, async (worker) => {
        assert.equal(await worker.hello(change), reason);
        await worker.exited;
      });
    }
  });

  test('a handle belongs to one generation', () =>
    withWorker(command, async (worker) => {
      assert.equal(await worker.hello(), 'WELCOME');
      assert.equal(await worker.ask('RESERVE', FIRST, RESERVE), 'OK');
      assert.equal(await worker.ask('RESERVE', FIRST, RESERVE), 'HANDLE_IN_USE');
      const late = { handle: 1, generation: 2 };
      assert.equal(await worker.ask('STREAMS', late, { streams: [] }), 'UNKNOWN_HANDLE');
      // A release of another generation must not end this one.
      assert.equal(await worker.ask('RELEASE', late, {}), 'OK');
      assert.equal(await worker.ask('STREAMS', FIRST, { streams: [] }), 'OK');
      assert.equal(await worker.ask('RELEASE', FIRST, {}), 'OK');
      assert.equal(await worker.ask('STREAMS', FIRST, { streams: [] }), 'UNKNOWN_HANDLE');
      assert.equal(await worker.ask('RESERVE', late, RESERVE), 'OK');
      const route = { streamId: 0, sink: 'stream' as const, toHandle: 1, toGeneration: 1, toStreamId: 0 };
      assert.equal(await worker.ask('ROUTE', late, route), 'UNKNOWN_HANDLE');
    }));

  test('bodies that do not fit are BAD_FRAME, and the worker goes on', () =>
    withWorker(command, async (worker) => {
      assert.equal(await worker.hello(), 'WELCOME');
      assert.equal(await worker.askRaw('RELEASE', Buffer.of(1)), 'BAD_FRAME');
      assert.equal(await worker.askRaw('STATS', Buffer.of(1)), 'BAD_FRAME');
      assert.equal(await worker.askRaw('STATS', Buffer.of(255, 255)), 'BAD_FRAME');
      assert.equal(await worker.ask('PING', NO_HANDLE, {}), 'PONG');
    }));

  test('PAYLOAD and CREDIT for handles that are not live are dropped and counted', () =>
    withWorker(command, async (worker) => {
      assert.equal(await worker.hello(), 'WELCOME');
      const late = { requestId: 0, handle: 7, generation: 1 };
      for (let index = 0; index < 3; index++) {
        worker.writePayload(encodeFrame('PAYLOAD', late, { streamId: 0, kind: 'text', data: Buffer.from('late') }));
      }
      worker.writePayload(encodeFrame('CREDIT', late, { streamId: 0, bytes: 1 }));
      // The two sockets have no order between them, so it is asked until it is there.
      let lateFrames = 0;
      while (lateFrames < 4) {
        const { body } = await worker.request('STATS', NO_HANDLE, { handles: [] });
        ({ lateFrames } = decodeBody('STATS_DATA', body));
      }
      assert.equal(lateFrames, 4);
    }));

  test('a length out of bounds ends the worker', () =>
    withWorker(command, async (worker) => {
      assert.equal(await worker.hello(), 'WELCOME');
      worker.writeControl(Buffer.alloc(64, 0xff));
      await worker.exited;
    }));

  test('the end of the engine is the end of the worker, also in the middle of work', () =>
    withWorker(command, async (worker) => {
      assert.equal(await worker.hello(), 'WELCOME');
      assert.equal(await worker.ask('RESERVE', FIRST, RESERVE), 'OK');
      assert.deepEqual(await worker.hangUp(), [0, null]);
    }));

  test('a draining worker takes nothing new and serves what it has', () =>
    withWorker(command, async (worker) => {
      assert.equal(await worker.hello(), 'WELCOME');
      assert.equal(await worker.ask('RESERVE', FIRST, RESERVE), 'OK');
      assert.equal(await worker.ask('DRAIN', NO_HANDLE, {}), 'OK');
      assert.equal(await worker.ask('RESERVE', { handle: 2, generation: 1 }, RESERVE), 'DRAINING');
      assert.equal(await worker.ask('STREAMS', FIRST, { streams: [] }), 'OK');
    }));

  test('TRACE copies datagrams as they were on the wire, or is refused', () =>
    withWorker(command, async (worker) => {
      const welcome = await worker.request('HELLO', NO_HANDLE, HELLO);
      const { trace } = decodeBody('WELCOME', welcome.body);
      const { port } = decodeReply('RESERVE', (await worker.request('RESERVE', FIRST, RESERVE)).body);
      assert.equal(await worker.ask('TRACE', FIRST, { on: true }), trace ? 'OK' : 'UNSUPPORTED');
      if (!trace) return;
      const traced = worker.next(({ name }) => name === 'TRACE_DATA');
      const sender = createSocket('udp4').bind(0, '127.0.0.1');
      await once(sender, 'listening');
      sender.send(Buffer.of(22, 1, 2, 3), port, '127.0.0.1');
      const { datagram, sent, remotePort } = decodeBody('TRACE_DATA', (await traced).body);
      assert.deepEqual([...datagram], [22, 1, 2, 3]);
      assert.equal(sent, false);
      assert.equal(remotePort, sender.address().port);
      sender.close();
    }));
}
