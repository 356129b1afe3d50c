import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import type { EngineClient } from '../../src/mf/engine/client.ts';
import { sent } from './rig.ts';

const MESSAGE_BYTES = 16_384;
/** What the receiver may be sent before it grants more. */
const CREDIT_BYTES = 1 << 20;

/**
 * Relays `bytes` from the UE's association `a` to its `b` through the MF's `a` and `b`, which are up: they arrive
 * hash-equal, and the MF drops nothing.
 */
export async function transferOverRelay(ue: EngineClient, mf: EngineClient, bytes: number): Promise<void> {
  await mf.route({ key: 'a', streamId: 0 }, { kind: 'stream', to: { key: 'b', streamId: 0 } });
  for (const key of ['a', 'b']) await ue.route({ key, streamId: 0 }, { kind: 'payload' });
  const from = ue.payload({ key: 'a', streamId: 0 }, CREDIT_BYTES);
  const to = ue.payload({ key: 'b', streamId: 0 }, CREDIT_BYTES);
  const [there, here] = [createHash('sha256'), createHash('sha256')];
  const arrived = new Promise<void>((resolve) => {
    let left = bytes;
    to.onMessage = (message) => {
      there.update(message);
      to.grant(message.length + 16);
      left -= message.length;
      if (left === 0) resolve();
    };
  });
  for (let left = bytes; left > 0; left -= MESSAGE_BYTES) {
    const message = randomBytes(Math.min(MESSAGE_BYTES, left));
    here.update(message);
    await sent(from, message, 'binary');
  }
  await arrived;
  assert.equal(there.digest('hex'), here.digest('hex'));
  const { associations } = await mf.stats();
  assert.deepEqual(
    associations.map(({ dropped }) => dropped),
    [0, 0],
  );
}
