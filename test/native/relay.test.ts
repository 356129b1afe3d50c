import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, test } from 'node:test';
import type { EngineClient } from '../../src/mf/engine/client.ts';
import { connect, sent, startEngine, stream, workerMissing } from './rig.ts';

const engines: EngineClient[] = [];
const start = async (...args: Parameters<typeof startEngine>) => {
  const engine = await startEngine(...args);
  engines.push(engine);
  return engine;
};
after(() => Promise.all(engines.map((engine) => engine.close())));

// conformance: R2 — the same mediaId in two terminations is relayed between them
test('a relay carries text and binary of every size, hash-equal and in order', { skip: workerMissing }, async () => {
  const [mf, ue] = [await start(), await start()];
  await connect(ue, 'a', mf, 'served', { group: 'call' });
  await connect(ue, 'b', mf, 'remote', { group: 'call' });
  await mf.route({ key: 'served', streamId: 0 }, { kind: 'stream', to: { key: 'remote', streamId: 0 } });
  await ue.route({ key: 'a', streamId: 0 }, { kind: 'payload' });
  await ue.route({ key: 'b', streamId: 0 }, { kind: 'payload' });
  const from = ue.payload({ key: 'a', streamId: 0 }, 1 << 20);
  const to = ue.payload({ key: 'b', streamId: 0 }, 1 << 20);
  const [out, received] = [createHash('sha256'), createHash('sha256')];
  const sizes = [0, 1, 64, 1131, 1132, 16_384, 65_535, 65_536, 262_143, 262_144];
  const kinds: string[] = [];
  const done = new Promise<void>((resolve) => {
    let count = 0;
    to.onMessage = (message, kind) => {
      received.update(message).update(`${message.length} ${kind}`);
      kinds.push(kind);
      to.grant(message.length + 16);
      if (++count === sizes.length * 20) resolve();
    };
  });
  for (let round = 0; round < 20; round++) {
    for (const [index, size] of sizes.entries()) {
      const message = Buffer.alloc(size, round * 31 + index);
      const kind = index % 2 ? 'text' : 'binary';
      out.update(message).update(`${size} ${kind}`);
      await sent(from, message, kind);
    }
  }
  await done;
  assert.equal(received.digest('hex'), out.digest('hex'));
  const { associations } = await mf.stats();
  assert.deepEqual(
    associations.map((one) => one.dropped),
    [0, 0],
  );
  assert.equal((await mf.release('served')).messagesReceived, sizes.length * 20);
});

test('ids up to 65534 pass through a relay to another id', { skip: workerMissing }, async () => {
  const [mf, ue] = [await start(), await start()];
  const streams = [1000, 1024, 38_754, 65_534].map((id) => stream(id));
  const remote = { streams: 65_535 };
  await connect(ue, 'a', mf, 'served', { group: 'call', streams, remote });
  await connect(ue, 'b', mf, 'remote', { group: 'call', streams, remote });
  for (const [from, to] of [
    [1000, 65_534],
    [38_754, 1024],
  ] as const) {
    await mf.route({ key: 'served', streamId: from }, { kind: 'stream', to: { key: 'remote', streamId: to } });
    await ue.route({ key: 'b', streamId: to }, { kind: 'payload' });
    const port = ue.payload({ key: 'b', streamId: to }, 1 << 16);
    const arrived = new Promise<string>((resolve) => {
      port.onMessage = (message) => resolve(Buffer.from(message).toString());
    });
    const sender = ue.payload({ key: 'a', streamId: from }, 1 << 16);
    await sent(sender, Buffer.from(`on ${from}`), 'text');
    assert.equal(await arrived, `on ${from}`);
  }
});
