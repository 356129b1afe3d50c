import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { WorkerCommand } from '../../../src/mf/engine/options.ts';
import type { MessageKind } from '../../../src/ndc/channel.ts';
import { collect, hash, sendAll, withLab } from './lab.ts';

const SIZES = [0, 1, 64_000, 65_536, 262_144];

function message(size: number, kind: MessageKind) {
  // Text must be UTF-8: two-octet letters, and one ASCII letter where the size is odd.
  const data = kind === 'binary' ? randomBytes(size) : Buffer.from('ä'.repeat(size >> 1) + 'x'.repeat(size & 1));
  return { data, kind };
}

export function messageCases(command: WorkerCommand): void {
  // conformance: R3 — e2DCe relay: per stream, boundaries and text/binary kept (RFC 8831 6.6 for empty messages)
  test('messages of every size and kind pass the relay both ways, hash-equal', () =>
    withLab(command, async (lab) => {
      const a = await lab.connect('a', { role: 'active' });
      const b = await lab.connect('b', { role: 'passive' });
      await lab.relay('a', 'b', [0]);
      const messages = SIZES.flatMap((size) => [message(size, 'binary'), message(size, 'text')]);
      const expected = messages.map(({ data, kind }) => ({ kind, hash: hash(data), length: data.length }));
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        const got = collect(to, 0, messages.length);
        await sendAll(from, 0, messages);
        assert.deepEqual(await got, expected);
      }
      const counters = await lab.engine.release('a');
      const bytes = messages.reduce((sum, { data }) => sum + data.length, 0);
      assert.deepEqual(counters, {
        bytesReceived: bytes,
        bytesSent: bytes,
        messagesReceived: messages.length,
        messagesSent: messages.length,
        dropped: 0,
      });
    }));

  test('several streams keep their order and do not mix', () =>
    withLab(command, async (lab) => {
      const streams = [0, 10, 100, 1000, 1023];
      const a = await lab.connect('a', { streams });
      const b = await lab.connect('b', { streams });
      await lab.relay('a', 'b', streams);
      const count = 300;
      await Promise.all(
        streams.map(async (streamId) => {
          const texts = Array.from({ length: count }, (_, index) => `${streamId}/${index}`);
          const got = collect(b, streamId, count);
          await sendAll(
            a,
            streamId,
            texts.map((text) => ({ data: Buffer.from(text), kind: 'text' as const })),
          );
          assert.deepEqual(
            (await got).map((received) => received.hash),
            texts.map((text) => hash(Buffer.from(text))),
          );
        }),
      );
    }));

  test('a stream without a route is read, dropped and counted', () =>
    withLab(command, async (lab) => {
      const a = await lab.connect('a', { streams: [0, 2] });
      await lab.engine.route({ key: 'a', streamId: 2 }, { kind: 'stream', to: { key: 'a', streamId: 2 } });
      const echo = collect(a, 2, 1);
      a.send(0, 'nobody', 'text');
      a.send(2, 'marker', 'text');
      await echo;
      const { associations } = await lab.engine.stats(['a']);
      const figures = (streamId: number) => associations[0]?.streams.find((stream) => stream.streamId === streamId);
      assert.equal(figures(0)?.dropped, 1);
      assert.equal(figures(2)?.dropped, 0);
      assert.equal(figures(2)?.messagesSent, 1);
    }));

  // conformance: R11 — a message its reader cannot take resets the stream, the last resort
  test('a message larger than the far leg takes resets the stream on both legs', () =>
    withLab(command, async (lab) => {
      const a = await lab.connect('a');
      const b = await lab.connect('b', { remote: { maxMessageSizeBytes: 1_000 } });
      await lab.relay('a', 'b', [0]);
      const got = collect(b, 0, 1);
      a.send(0, randomBytes(1_000), 'binary');
      assert.equal((await got)[0]?.length, 1_000);
      const closed = Promise.all([
        lab.streamClosed('a', 0),
        lab.streamClosed('b', 0),
        a.next('stream', ({ state }) => state === 'closed'),
        b.next('stream', ({ state }) => state === 'closed'),
      ]);
      a.send(0, randomBytes(1_001), 'binary');
      const [first, second] = await closed;
      assert.equal(first.reason, 'MESSAGE_TOO_LARGE');
      assert.equal(second.reason, 'MESSAGE_TOO_LARGE');
    }));

  // conformance: ue-side 9 — a message above the size that we advertised resets the stream on both legs, and no other
  test('a message larger than we take resets the stream on both legs', () =>
    withLab(
      command,
      async (lab) => {
        const a = await lab.connect('a', { streams: [0, 1] });
        const b = await lab.connect('b', { streams: [0, 1] });
        await lab.relay('a', 'b', [0, 1]);
        const closed = Promise.all([
          lab.streamClosed('a', 0),
          lab.streamClosed('b', 0),
          a.next('stream', ({ streamId, state }) => streamId === 0 && state === 'closed'),
          b.next('stream', ({ streamId, state }) => streamId === 0 && state === 'closed'),
        ]);
        const largest = collect(b, 0, 1);
        a.send(0, randomBytes(20_000), 'binary');
        assert.equal((await largest)[0]?.length, 20_000);
        a.send(0, randomBytes(20_001), 'binary');
        assert.equal((await closed)[0].reason, 'MESSAGE_TOO_LARGE');
        const alive = collect(b, 1, 1);
        a.send(1, 'alive', 'text');
        assert.equal((await alive)[0]?.length, 5);
      },
      { maxMessageSizeBytes: 20_000 },
    ));
}
