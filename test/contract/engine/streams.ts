import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WorkerCommand } from '../../../src/mf/engine/options.ts';
import { ORDERED, opened } from '../../ndc/support.ts';
import { remoteOf, spec, withLab } from './lab.ts';

export function streamCases(command: WorkerCommand): void {
  // conformance: RFC 8831 6.7 — closing a channel resets both directions
  for (const [from, to] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    test(`a reset by the UE of ${from} reaches the UE of ${to}, after the last message`, () =>
      withLab(command, async (lab) => {
        const ues = { a: await lab.connect('a', { streams: [0, 1] }), b: await lab.connect('b', { streams: [0, 1] }) };
        await lab.relay('a', 'b', [0, 1]);
        const seen: string[] = [];
        ues[to].on('message', ({ data }) => seen.push(data.toString()));
        const closed = Promise.all([
          ues[to].next('stream', ({ streamId, state }) => streamId === 0 && state === 'closed'),
          lab.streamClosed('a', 0),
          lab.streamClosed('b', 0),
        ]);
        ues[from].send(0, 'last words', 'text');
        ues[from].closeStream(0);
        await closed;
        assert.deepEqual(seen, ['last words']);
        // The other channel lives.
        const message = ues[to].next('message', ({ streamId }) => streamId === 1);
        ues[from].send(1, 'alive', 'text');
        assert.equal((await message).data.toString(), 'alive');
      }));
  }

  test('resetStream and a stream left out of the set close it at the UE', () =>
    withLab(command, async (lab) => {
      const ue = await lab.connect('a', { streams: [0, 1, 2] });
      const closedAt = (id: number) =>
        ue.next('stream', ({ streamId, state }) => streamId === id && state === 'closed');
      const first = Promise.all([closedAt(0), lab.streamClosed('a', 0)]);
      await lab.engine.resetStream({ key: 'a', streamId: 0 }, 'test');
      assert.equal((await first)[1].reason, 'RESET_BY_ENGINE');
      const second = closedAt(1);
      await lab.engine.setStreams('a', [spec(2)]);
      await second;
      assert.equal(ue.isOpen(2), true);
    }));

  // The UE would never hear of it; whoever asks can ask again once it is open.
  test('a stream that is not open cannot be reset', () =>
    withLab(command, async (lab) => {
      await lab.connect('a', { streams: [0] });
      await assert.rejects(lab.engine.resetStream({ key: 'a', streamId: 7 }, 'test'), /STREAM_UNKNOWN/);
    }));

  // conformance: 26.114 6.2.10.1 — a channel added by a later offer needs no new association
  test('a stream added later opens without a new association', () =>
    withLab(command, async (lab) => {
      const ue = await lab.connect('a', { streams: [0] });
      const open = Promise.all([opened(ue, 1000), lab.streamOpen('a', 1000)]);
      assert.deepEqual(await lab.engine.setStreams('a', [spec(0), spec(1000)]), [
        { streamId: 0, result: 'ok' },
        { streamId: 1000, result: 'ok' },
      ]);
      ue.addStream(ORDERED(1000));
      await open;
      await lab.engine.route({ key: 'a', streamId: 1000 }, { kind: 'stream', to: { key: 'a', streamId: 1000 } });
      const echo = ue.next('message');
      ue.send(1000, 'new', 'text');
      assert.equal((await echo).data.toString(), 'new');
    }));

  // conformance: R13 — ids beyond the association's streams are left out
  test('ids above what the worker or the association can are refused one by one', () =>
    withLab(command, async (lab) => {
      const { maxStreamId } = lab.engine.capabilities;
      await lab.reserve('a');
      const tooHigh = Math.min(maxStreamId + 1, 65_535);
      const outcomes = await lab.engine.setStreams('a', [spec(0), spec(tooHigh)]);
      assert.deepEqual(outcomes, [
        { streamId: 0, result: 'ok' },
        { streamId: tooHigh, result: 'STREAM_ID_TOO_HIGH' },
      ]);
      await lab.engine.start('a', remoteOf(await lab.ue(), 'active', { streams: 112 }));
      assert.deepEqual(await lab.engine.setStreams('a', [spec(0), spec(111), spec(112)]), [
        { streamId: 0, result: 'ok' },
        { streamId: 111, result: 'ok' },
        { streamId: 112, result: 'STREAM_ID_TOO_HIGH' },
      ]);
    }));
}
