import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import type { WorkerCommand } from '../../../src/mf/engine/options.ts';
import { BINDING_REQUEST, BINDING_SUCCESS, decodeStun, encodeStun, integrityHolds } from '../../../src/stun/message.ts';
import { certificateA, certificateB, describe, ORDERED, opened, reserveLocal } from '../../ndc/support.ts';
import { reasonIs } from './handshake.ts';
import { withLab } from './lab.ts';

const SIDE = { bindAddress: '127.0.0.1', port: 0 };
const TRANSACTION = Buffer.from('transaction!');

async function socket(): Promise<Socket & AsyncDisposable> {
  const bound = createSocket('udp4').bind(0, '127.0.0.1');
  await once(bound, 'listening');
  return Object.assign(bound, {
    async [Symbol.asyncDispose]() {
      bound.close();
      await once(bound, 'close');
    },
  });
}

const at = (bound: Socket) => ({ address: '127.0.0.1', port: bound.address().port });
const received = async (bound: Socket) => ((await once(bound, 'message')) as [Buffer])[0];
const dtls = (text: string) => Buffer.concat([Buffer.of(22), Buffer.from(text)]);

export function flowCases(command: WorkerCommand): void {
  // conformance: R10 — only first octets 20..63 of the SDP's address are forwarded
  test('a flow forwards DTLS of its two ends and nothing else', () =>
    withLab(command, async (lab) => {
      await using a = await socket();
      await using b = await socket();
      await using stranger = await socket();
      const ends = await lab.engine.flow('f', 'group', {
        a: { ...SIDE, remote: at(a) },
        b: { ...SIDE, remote: at(b) },
      });
      const atB = received(b);
      stranger.send(dtls('stranger'), ends.a.port, '127.0.0.1');
      a.send(Buffer.from([128, 0, 1]), ends.a.port, '127.0.0.1');
      a.send(Buffer.from([64, 0, 1]), ends.a.port, '127.0.0.1');
      a.send(Buffer.from([0, 0, 1]), ends.a.port, '127.0.0.1');
      a.send(dtls('there'), ends.a.port, '127.0.0.1');
      assert.deepEqual(await atB, dtls('there'));
      const atA = received(a);
      b.send(dtls('back'), ends.b.port, '127.0.0.1');
      assert.deepEqual(await atA, dtls('back'));
      const counters = await lab.engine.release('f');
      assert.equal(counters.messagesReceived, 2);
      assert.equal(counters.messagesSent, 2);
      assert.equal(counters.bytesReceived, dtls('there').length + dtls('back').length);
    }));

  test('a flow whose far end cannot be reached is refused and leaves nothing: handle and ports work for the next', () =>
    withLab(command, async (lab) => {
      await using a = await socket();
      const ends = await lab.engine.flow('f', 'group', { a: SIDE, b: SIDE });
      await lab.engine.release('f');
      const [first, second] = [ends.a.port, ends.b.port].map((port) => ({ bindAddress: '127.0.0.1', port }));
      for (const remote of [
        { address: '::1', port: 9 },
        { address: 'fe80::1%lo', port: 9 },
      ])
        for (const sides of [
          { a: { ...first!, remote }, b: second! },
          { a: { ...first!, remote: at(a) }, b: { ...second!, remote } },
        ])
          await assert.rejects(lab.engine.flow('bad', 'group', sides), reasonIs('BAD_REMOTE'));
      await lab.engine.flow('f', 'group', { a: { ...first!, remote: at(a) }, b: second! });
      const change = { a: { ...first!, remote: { address: '::1', port: 9 } } };
      await assert.rejects(lab.engine.updateFlow('f', change), reasonIs('BAD_REMOTE'));
      await lab.reserve('next');
      assert.equal((await lab.engine.stats()).associations.length, 2);
      assert.deepEqual(lab.engine.workerLoads(), [2]);
    }));

  test('a far end named later gets what was kept for it', () =>
    withLab(command, async (lab) => {
      await using a = await socket();
      await using b = await socket();
      const ends = await lab.engine.flow('f', 'group', { a: SIDE, b: { ...SIDE, remote: at(b) } });
      a.send(dtls('early'), ends.a.port, '127.0.0.1');
      const atB = received(b);
      await lab.engine.updateFlow('f', { a: { ...SIDE, remote: at(a) } });
      assert.deepEqual(await atB, dtls('early'));
    }));

  test('what comes before the far end is named is kept for it, four datagrams at most', () =>
    withLab(command, async (lab) => {
      await using a = await socket();
      await using b = await socket();
      const ends = await lab.engine.flow('f', 'group', { a: { ...SIDE, remote: at(a) }, b: SIDE });
      const atB: string[] = [];
      b.on('message', (datagram: Buffer) => atB.push(datagram.subarray(1).toString()));
      for (const text of ['1', '2', '3', '4', '5']) a.send(dtls(text), ends.a.port, '127.0.0.1');
      // The port is read in order: once it has answered STUN, it has looked at the five.
      const answer = received(a);
      a.send(encodeStun({ type: BINDING_REQUEST, transactionId: TRANSACTION }), ends.a.port, '127.0.0.1');
      await answer;
      await lab.engine.updateFlow('f', { b: { ...SIDE, remote: at(b) } });
      a.send(dtls('last'), ends.a.port, '127.0.0.1');
      while (atB.at(-1) !== 'last') await received(b);
      assert.deepEqual(atB, ['1', '2', '3', '4', 'last']);
    }));

  // conformance: R10 — STUN is answered locally per leg
  test('each side answers STUN itself, with its own credentials', () =>
    withLab(command, async (lab) => {
      await using a = await socket();
      await using b = await socket();
      const ends = await lab.engine.flow('f', 'group', {
        a: { ...SIDE, remote: at(a) },
        b: { ...SIDE, remote: at(b) },
        ice: true,
      });
      assert.notEqual(ends.a.icePwd, ends.b.icePwd);
      for (const [client, end] of [
        [a, ends.a],
        [b, ends.b],
      ] as const) {
        const answer = received(client);
        const username = `${end.iceUfrag}:ue`;
        const check = { type: BINDING_REQUEST, transactionId: TRANSACTION, username, password: end.icePwd ?? '' };
        client.send(encodeStun(check), end.port, '127.0.0.1');
        const reply = decodeStun(await answer);
        assert.equal(reply?.type, BINDING_SUCCESS);
        assert.deepEqual(reply?.mappedAddress, at(client));
        assert.equal(integrityHolds(reply!, end.icePwd ?? ''), true);
      }
    }));

  test('two UEs make DTLS and SCTP end to end through a flow', () =>
    withLab(command, async (lab) => {
      const [a, b] = await Promise.all([reserveLocal(certificateA), reserveLocal(certificateB)]);
      try {
        const remote = (ue: typeof a) => ({ address: '127.0.0.1', port: ue.localPort });
        const ends = await lab.engine.flow('f', 'group', {
          a: { ...SIDE, remote: remote(a) },
          b: { ...SIDE, remote: remote(b) },
        });
        const open = Promise.all([opened(a, 65), opened(b, 65)]);
        await b.start(describe(a, certificateA, 'passive', { port: ends.b.port }), [ORDERED(65)]);
        await a.start(describe(b, certificateB, 'active', { port: ends.a.port }), [ORDERED(65)]);
        await open;
        const message = b.next('message');
        a.send(65, Buffer.alloc(65_536, 7), 'binary');
        assert.deepEqual((await message).data, Buffer.alloc(65_536, 7));
      } finally {
        await Promise.all([a.close(), b.close()]);
      }
    }));

  test('the kernel path is there, or is refused with its code', () =>
    withLab(command, async (lab) => {
      const flow = lab.engine.flow('f', 'group', { a: SIDE, b: SIDE, path: 'kernel' });
      if (lab.engine.capabilities.datagramPaths.includes('kernel')) assert.equal((await flow).path, 'kernel');
      else await assert.rejects(flow, reasonIs('KERNEL_PATH_UNAVAILABLE'));
      assert.equal((await lab.engine.flow('g', 'group', { a: SIDE, b: SIDE, path: 'user' })).path, 'user');
    }));
}
