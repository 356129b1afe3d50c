import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import type { WorkerCommand } from '../../../src/mf/engine/options.ts';
import { remoteOf, withLab } from './lab.ts';

export function failureCases(command: WorkerCommand): void {
  // conformance: R25 — a lost worker takes only its own associations, and is replaced
  test('a killed worker: its keys are lost, its promises rejected, the rest lives, new ones work', () =>
    withLab(
      command,
      async (lab) => {
        const a = await lab.connect('a', { group: 'one' });
        const b = await lab.connect('b', { group: 'two' });
        await lab.engine.route({ key: 'a', streamId: 0 }, { kind: 'payload' });
        const ended = new Promise<string>(
          (resolve) => (lab.engine.payload({ key: 'a', streamId: 0 }, 1).onClosed = resolve),
        );
        const before = (await lab.engine.stats()).workers;
        assert.equal(before.length, 2);
        const victim = before.find((_, index) => index === 0)!;
        const lost = lab.engine.next('lost');
        process.kill(victim.pid, 'SIGKILL');
        // Asked after the kill, so no answer can come.
        const pending = assert.rejects(lab.engine.update('a', { port: 9 }), { code: 'WORKER_LOST' });
        const { keys, reason } = await lost;
        assert.deepEqual(keys, ['a']);
        assert.equal(reason, 'workerExit');
        assert.equal(await ended, 'workerLost');
        await pending;
        assert.deepEqual(await lab.engine.release('a'), {
          bytesReceived: 0,
          bytesSent: 0,
          messagesReceived: 0,
          messagesSent: 0,
          dropped: 0,
        });
        await lab.engine.route({ key: 'b', streamId: 0 }, { kind: 'stream', to: { key: 'b', streamId: 0 } });
        const echo = b.next('message');
        b.send(0, 'alive', 'text');
        assert.equal((await echo).data.toString(), 'alive');
        await lab.connect('a', { group: 'one' });
        void a;
      },
      {},
      2,
    ));

  test('the only worker is killed: a new key works as soon as it runs again', () =>
    withLab(command, async (lab) => {
      await lab.connect('a');
      const lost = lab.engine.next('lost');
      process.kill((await lab.engine.stats()).workers[0]!.pid, 'SIGKILL');
      await lost;
      const ue = await lab.connect('a2');
      assert.equal(ue.state, 'connected');
    }));

  test('a hung worker is killed and reported', () =>
    withLab(
      command,
      async (lab) => {
        await lab.connect('a');
        const { pid } = (await lab.engine.stats()).workers[0]!;
        const lost = lab.engine.next('lost');
        process.kill(pid, 'SIGSTOP');
        const pending = assert.rejects(lab.engine.update('a', { port: 9 }), { code: 'WORKER_LOST' });
        assert.deepEqual(await lost, { keys: ['a'], reason: 'workerHung' });
        await pending;
      },
      { pingIntervalMs: 50, hungAfterMs: 1_000 },
    ));

  test('release frees the socket, gives the figures once, and the number of the port can be bound again', () =>
    withLab(command, async (lab) => {
      const local = await lab.reserve('a');
      const again = { bindAddress: '127.0.0.1', port: local.port, ice: false };
      await lab.engine.release('a');
      assert.equal((await lab.engine.reserve('b', 'group', again)).port, local.port);
      assert.equal((await lab.engine.release('a')).messagesReceived, 0);
      assert.deepEqual(
        (await lab.engine.stats()).workers.map(({ associations }) => associations),
        [1],
      );
    }));

  test('reserve is idempotent by key, and keys of other kinds or none are refused', () =>
    withLab(command, async (lab) => {
      const [first, second] = await Promise.all([lab.reserve('a'), lab.reserve('a')]);
      assert.equal(first.port, second.port);
      assert.equal((await lab.engine.stats()).associations.length, 1);
      await assert.rejects(lab.engine.start('nobody', remoteOf(await lab.ue(), 'active')), {
        code: 'MEDIA_UNKNOWN_KEY',
      });
      await assert.rejects(lab.engine.updateFlow('a', {}), { code: 'MEDIA_UNKNOWN_KEY' });
    }));

  test('a flood of garbage is dropped and counted; the channel lives', () =>
    withLab(command, async (lab) => {
      const ue = await lab.connect('a');
      await lab.engine.route({ key: 'a', streamId: 0 }, { kind: 'stream', to: { key: 'a', streamId: 0 } });
      const target = ue.remote!;
      const noise = createSocket('udp4').bind(0, '127.0.0.1');
      await once(noise, 'listening');
      for (let burst = 0; burst < 20; burst++) {
        const sent = Array.from(
          { length: 100 },
          () =>
            new Promise<void>((resolve) =>
              noise.send(randomBytes(1 + (randomBytes(2).readUInt16LE() % 1_400)), target.port, target.address, () =>
                resolve(),
              ),
            ),
        );
        await Promise.all(sent);
      }
      noise.close();
      const echo = ue.next('message');
      ue.send(0, 'alive', 'text');
      assert.equal((await echo).data.toString(), 'alive');
    }));

  test('drain takes nothing new and ends when the last key is released; close leaves no process', () =>
    withLab(command, async (lab) => {
      await lab.connect('a');
      const drained = lab.engine.drain();
      await assert.rejects(lab.reserve('b'), { code: 'WORKER_UNAVAILABLE' });
      await lab.engine.release('a');
      await drained;
      const { pid } = (await lab.engine.stats()).workers[0]!;
      await lab.engine.close();
      assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
    }));

  test('above maxAssociations a reservation is refused with BUDGET', () =>
    withLab(
      command,
      async (lab) => {
        await lab.reserve('a');
        await assert.rejects(lab.reserve('b'), { code: 'WORKER_REFUSED' });
        await lab.engine.release('a');
        await lab.reserve('b');
      },
      { maxAssociations: 1 },
    ));
}
