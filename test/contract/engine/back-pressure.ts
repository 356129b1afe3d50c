import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { WorkerCommand } from '../../../src/mf/engine/options.ts';
import { collect, hash, sendAll, withLab } from './lab.ts';

const HIGH_MARK_BYTES = 262_144;
/** What SCTP itself may hold besides the stream's buffer: windows and send buffers of both stacks. */
const SCTP_SLACK_BYTES = 4 << 20;

export function backPressureCases(command: WorkerCommand): void {
  // conformance: R29 — a slow reader slows its sender; memory does not grow; nothing is lost
  test('a reader that stops holds its sender, and gets everything when it goes on', () =>
    withLab(
      command,
      async (lab) => {
        const a = await lab.connect('a');
        const b = await lab.connect('b');
        await lab.relay('a', 'b', [0]);
        const messages = Array.from({ length: 768 }, () => ({ data: randomBytes(16_384), kind: 'binary' as const }));
        const got = collect(b, 0, messages.length);
        b.pause();
        const sent = sendAll(a, 0, messages);
        // The sender is stuck: its own buffer is full while the reader has almost nothing.
        const total = messages.length * 16_384;
        let buffered = 0;
        let before = -1;
        while (buffered !== before || buffered === 0) {
          before = buffered;
          const { associations } = await lab.engine.stats(['a', 'b']);
          buffered = associations.reduce((sum, association) => sum + association.bufferedBytes, 0);
          assert.ok(buffered < HIGH_MARK_BYTES * 2 + SCTP_SLACK_BYTES, `${buffered} bytes in the worker`);
          await lab.engine.stats();
        }
        assert.ok(buffered < total / 2, 'the worker must not have swallowed it all');
        b.resume();
        await sent;
        assert.deepEqual(
          (await got).map((received) => received.hash),
          messages.map(({ data }) => hash(data)),
        );
      },
      { bufferedBytesPerStream: HIGH_MARK_BYTES },
    ));

  // conformance: R29 — after slowReaderLimitMs that stream is reset, with its reason
  test('a reader that stays stopped loses its stream and nothing else', () =>
    withLab(
      command,
      async (lab) => {
        const a = await lab.connect('a', { streams: [0, 1] });
        await lab.engine.route({ key: 'a', streamId: 0 }, { kind: 'payload' });
        const port = lab.engine.payload({ key: 'a', streamId: 0 }, 1);
        const ended = new Promise<string>((resolve) => (port.onClosed = resolve));
        const closed = lab.streamClosed('a', 0);
        const closedAtUe = a.next('stream', ({ streamId, state }) => streamId === 0 && state === 'closed');
        for (let index = 0; index < 32; index++) a.send(0, randomBytes(16_384), 'binary');
        assert.equal((await closed).reason, 'SLOW_READER');
        assert.equal(await ended, 'end');
        await closedAtUe;
        await lab.engine.route({ key: 'a', streamId: 1 }, { kind: 'stream', to: { key: 'a', streamId: 1 } });
        const echo = a.next('message');
        a.send(1, 'alive', 'text');
        assert.equal((await echo).data.toString(), 'alive');
      },
      { bufferedBytesPerStream: 65_536, slowReaderLimitMs: 200 },
    ));
}
