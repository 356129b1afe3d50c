import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { WorkerCommand } from '../../../src/mf/engine/options.ts';
import type { PayloadPort } from '../../../src/mf/engine/types.ts';
import { collect, hash, type Lab, withLab } from './lab.ts';

const PLENTY = 1 << 24;

async function payloadPort(lab: Lab, streamId: number, credit: number): Promise<PayloadPort> {
  await lab.engine.route({ key: 'a', streamId }, { kind: 'payload' });
  return lab.engine.payload({ key: 'a', streamId }, credit);
}

function messagesOf(port: PayloadPort): { data: Buffer; kind: string }[] {
  const got: { data: Buffer; kind: string }[] = [];
  port.onMessage = (data, kind) => got.push({ data: Buffer.from(data), kind });
  return got;
}

const closing = (port: PayloadPort) => new Promise<string>((resolve) => (port.onClosed = resolve));
const writable = (port: PayloadPort) => new Promise<void>((resolve) => (port.onWritable = resolve));

/** Sends `data`, waiting for the window. */
async function send(port: PayloadPort, data: Uint8Array, kind: 'text' | 'binary'): Promise<void> {
  for (;;) {
    const room = writable(port);
    if (port.send(data, kind)) return;
    await room;
  }
}

export function payloadCases(command: WorkerCommand): void {
  test('messages pass between UE and engine, kinds and boundaries kept', () =>
    withLab(command, async (lab) => {
      const ue = await lab.connect('a');
      const port = await payloadPort(lab, 0, PLENTY);
      const sizes = [0, 1, 64_000, 65_536];
      const bodies = sizes.map((size) => randomBytes(size));
      const received = new Promise<string[]>((resolve) => {
        const hashes: string[] = [];
        port.onMessage = (data, kind) => {
          hashes.push(`${kind} ${hash(data)}`);
          if (hashes.length === sizes.length + 1) resolve(hashes);
        };
      });
      for (const body of bodies) ue.send(0, body, 'binary');
      ue.send(0, 'GET / HTTP/1.1\r\n\r\n', 'text');
      assert.deepEqual(await received, [
        ...bodies.map((body) => `binary ${hash(body)}`),
        `text ${hash(Buffer.from('GET / HTTP/1.1\r\n\r\n'))}`,
      ]);
      const got = collect(ue, 0, sizes.length + 1);
      for (const body of bodies) await send(port, body, 'binary');
      await send(port, Buffer.from('ok'), 'text');
      assert.deepEqual(
        (await got).map(({ kind, hash: value }) => `${kind} ${value}`),
        [...bodies.map((body) => `binary ${hash(body)}`), `text ${hash(Buffer.from('ok'))}`],
      );
    }));

  test('no more comes than the credit allows, and nothing is lost when it is granted', () =>
    withLab(command, async (lab) => {
      const ue = await lab.connect('a', { streams: [0, 1] });
      const port = await payloadPort(lab, 0, 1);
      const marker = await payloadPort(lab, 1, PLENTY);
      const got = messagesOf(port);
      const marked = new Promise<void>((resolve) => (marker.onMessage = () => resolve()));
      for (let index = 0; index < 10; index++) ue.send(0, `${index}`, 'text');
      ue.send(1, 'marker', 'text');
      await marked;
      assert.deepEqual(
        got.map(({ data }) => data.toString()),
        ['0'],
      );
      const all = new Promise<void>((resolve) => {
        port.onMessage = (data, kind) => {
          got.push({ data: Buffer.from(data), kind });
          port.grant(data.length + 16);
          if (got.length === 10) resolve();
        };
      });
      // What message 0 overdrew, and one more message.
      port.grant(17 + 1);
      await all;
      assert.deepEqual(
        got.map(({ data }) => data.toString()),
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
      );
    }));

  test('the send window closes and opens again; everything arrives in order', () =>
    withLab(
      command,
      async (lab) => {
        const ue = await lab.connect('a');
        const port = await payloadPort(lab, 0, PLENTY);
        const bodies = Array.from({ length: 64 }, () => randomBytes(16_384));
        const got = collect(ue, 0, bodies.length);
        let refused = 0;
        for (const body of bodies) {
          for (;;) {
            const room = writable(port);
            if (port.send(body, 'binary')) break;
            refused++;
            await room;
          }
        }
        assert.ok(refused > 1, 'one MB through a window of 64 KB must be refused in between');
        assert.deepEqual(
          (await got).map((received) => received.hash),
          bodies.map(hash),
        );
      },
      { bufferedBytesPerStream: 65_536 },
    ));

  test('close of the port closes the stream after everything sent before', () =>
    withLab(command, async (lab) => {
      const ue = await lab.connect('a');
      const port = await payloadPort(lab, 0, PLENTY);
      const seen: number[] = [];
      ue.on('message', ({ data }) => seen.push(data.length));
      const closed = ue.next('stream', ({ state }) => state === 'closed');
      await send(port, randomBytes(65_536), 'binary');
      await send(port, Buffer.from('bye'), 'text');
      port.close();
      await closed;
      assert.deepEqual(seen, [65_536, 3]);
      assert.equal(port.send(Buffer.from('late'), 'text'), false);
    }));

  test('a stream closed by the UE ends the port after its last message', () =>
    withLab(command, async (lab) => {
      const ue = await lab.connect('a');
      const port = await payloadPort(lab, 0, PLENTY);
      const got = messagesOf(port);
      const closed = closing(port);
      ue.send(0, 'last', 'text');
      ue.closeStream(0);
      assert.equal(await closed, 'end');
      assert.deepEqual(
        got.map(({ data }) => data.toString()),
        ['last'],
      );
    }));

  test('an association closed by the UE ends its ports, then its state', () =>
    withLab(command, async (lab) => {
      const ue = await lab.connect('a');
      const port = await payloadPort(lab, 0, PLENTY);
      const closed = closing(port);
      const state = lab.state('a', 'closed');
      await ue.close();
      assert.equal(await closed, 'end');
      assert.equal((await state).reason, 'PEER_CLOSED');
    }));

  test('a stream reset by the engine ends its port', () =>
    withLab(command, async (lab) => {
      const ue = await lab.connect('a');
      const port = await payloadPort(lab, 0, PLENTY);
      const closed = closing(port);
      const closedAtUe = ue.next('stream', ({ state }) => state === 'closed');
      await lab.engine.resetStream({ key: 'a', streamId: 0 }, 'test');
      assert.equal(await closed, 'end');
      await closedAtUe;
    }));

  test('release ends the ports', () =>
    withLab(command, async (lab) => {
      await lab.connect('a');
      const port = await payloadPort(lab, 0, PLENTY);
      const closed = closing(port);
      await lab.engine.release('a');
      assert.equal(await closed, 'released');
    }));
}
