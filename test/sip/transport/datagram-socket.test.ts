import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { before, describe, test } from 'node:test';
import { EventLoopTurns } from '../../../src/base/event-loop-turns.ts';
import { batchedSockets } from '../../../src/sip/transport/batched-socket.ts';
import {
  type DatagramReader,
  type DatagramSource,
  NodeDatagramSocket,
  type OpenDatagramSocket,
} from '../../../src/sip/transport/datagram-socket.ts';
import { withoutIPv6 } from '../support.ts';

const batched = batchedSockets(new EventLoopTurns({ paceMs: 0 }));
/** Who names an addon wants it tested. */
const absent = process.env.IMSDC_UDP_ADDON === undefined && 'the addon is not built';
const KINDS: [string, OpenDatagramSocket | undefined][] = [
  ['one by one (node:dgram)', (local, reader) => new NodeDatagramSocket(local, reader)],
  ['many at a time (addon)', batched],
];

let skipIPv6: string | false = false;
before(async () => {
  skipIPv6 = await withoutIPv6();
});

const unheard = (): void => assert.fail('nothing was sent there');
const unfailed = (error: Error): void => assert.fail(error);

/** A reader that keeps what it is given, and says when it has so many. */
function inbox(count: number) {
  const heard: { text: string; from: DatagramSource }[] = [];
  const { promise: full, resolve } = Promise.withResolvers<void>();
  const reader: DatagramReader = {
    received: (bytes, from) => {
      heard.push({ text: bytes.toString('latin1'), from: { address: from.address, port: from.port } });
      if (heard.length === count) resolve();
    },
    trouble: (what, detail) => assert.fail(`${what}: ${detail}`),
  };
  return { heard, full, reader };
}

for (const [kind, open] of KINDS) {
  describe(`UDP, ${kind}`, { skip: open === undefined && absent }, () => {
    const opened = (address: string, reader: DatagramReader, port = 0) => open!({ address, port }, reader);
    const silent: DatagramReader = { received: unheard, trouble: unheard };

    for (const address of ['127.0.0.1', '::1']) {
      test(`datagrams between ${address} and itself arrive as they were, with their source`, async (t) => {
        if (address === '::1' && skipIPv6) return t.skip(skipIPv6);
        const { heard, full, reader } = inbox(3);
        const [a, b] = [opened(address, silent), opened(address, reader)];
        const [aPort, bPort] = [await a.bind(), await b.bind()];
        const bytes = Buffer.from([0, 1, 128, 255, 13, 10]);
        a.send('latin1: \xe9\xff', bPort, address, unfailed);
        a.send(bytes, bPort, address, unfailed);
        a.send('', bPort, address, unfailed);
        await full;
        assert.deepEqual(
          heard.map(({ text }) => text),
          ['latin1: \xe9\xff', bytes.toString('latin1'), ''],
        );
        for (const { from } of heard) assert.deepEqual(from, { address, port: aPort });
        await Promise.all([a.close(), b.close()]);
      });
    }

    test('hundreds of datagrams of one turn arrive in their order, each whole', async () => {
      // As many as the buffer holds that a kernel grants by default.
      const texts = Array.from({ length: 400 }, (_, index) => `${index} ${'x'.repeat((index * 37) % 300)}`);
      const { heard, full, reader } = inbox(texts.length);
      const [a, b] = [opened('127.0.0.1', silent), opened('127.0.0.1', reader)];
      await a.bind();
      const port = await b.bind();
      for (const text of texts) a.send(text, port, '127.0.0.1', unfailed);
      await full;
      assert.deepEqual(
        heard.map(({ text }) => text),
        texts,
      );
      await Promise.all([a.close(), b.close()]);
    });

    test('the longest datagram passes; a longer one fails, and the ones around it do not', async () => {
      const { heard, full, reader } = inbox(2);
      const [a, b] = [opened('127.0.0.1', silent), opened('127.0.0.1', reader)];
      await a.bind();
      const port = await b.bind();
      const failed = Promise.withResolvers<Error>();
      a.send('x'.repeat(65_507), port, '127.0.0.1', unfailed);
      a.send('x'.repeat(65_508), port, '127.0.0.1', failed.resolve);
      a.send('after', port, '127.0.0.1', unfailed);
      await full;
      assert.deepEqual(
        heard.map(({ text }) => text.length),
        [65_507, 5],
      );
      assert.match((await failed.promise).message, /EMSGSIZE/);
      await Promise.all([a.close(), b.close()]);
    });

    test('an address that cannot be reached fails later, not in the call', async () => {
      const socket = opened('127.0.0.1', silent);
      await socket.bind();
      for (const address of ['::1', 'no address', '127.0.0.1:5060']) {
        const failed = Promise.withResolvers<Error>();
        let inCall = true;
        socket.send('x', 5060, address, (error) => {
          assert.equal(inCall, false);
          failed.resolve(error);
        });
        inCall = false;
        assert.ok((await failed.promise) instanceof Error, address);
      }
      await socket.close();
    });

    test('a port that is taken is refused with the reason', async () => {
      const other = createSocket('udp4').bind(0, '127.0.0.1');
      await once(other, 'listening');
      const { port } = other.address();
      try {
        await assert.rejects(opened('127.0.0.1', silent, port).bind(), /EADDRINUSE/);
      } finally {
        other.close();
      }
    });

    test('a reader may close it: nothing is read afterwards, and what was sent before goes out', async () => {
      const { heard, full, reader } = inbox(1);
      const a = opened('127.0.0.1', reader);
      const aPort = await a.bind();
      let read = 0;
      const closed = Promise.withResolvers<void>();
      const b = opened('127.0.0.1', {
        ...silent,
        received: () => {
          read++;
          b.send('last', aPort, '127.0.0.1', unfailed);
          closed.resolve(b.close());
        },
      });
      const port = await b.bind();
      for (const text of ['one', 'two', 'three']) a.send(text, port, '127.0.0.1', unfailed);
      await full;
      await closed.promise;
      assert.deepEqual([read, heard[0]!.text], [1, 'last']);
      await a.close();
    });
  });
}

test('a reader that throws for one datagram gets the others of the same read', {
  skip: batched === undefined && absent,
}, async () => {
  const thrown: unknown[] = [];
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', (error) => thrown.push(error));
  const { heard, full, reader } = inbox(2);
  const socket = batched!(
    { address: '127.0.0.1', port: 0 },
    {
      ...reader,
      received: (bytes, from) => {
        if (bytes.toString() === 'bad') throw new Error('bad one');
        reader.received(bytes, from);
      },
    },
  );
  const port = await socket.bind();
  for (const text of ['good', 'bad', 'good']) socket.send(text, port, '127.0.0.1', unfailed);
  await full;
  await socket.close();
  assert.equal(heard.length, 2);
  assert.match(String(thrown[0]), /bad one/);
  process.removeAllListeners('uncaughtException');
  for (const listener of listeners) process.on('uncaughtException', listener);
});
