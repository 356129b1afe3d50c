import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refuse } from '../../mf/fake-engine.ts';
import { context, httpMedia, Rig } from '../../mf/rig.ts';

/** A context that was being made when the MF began to drain, and could not be made, was waited for until the process was killed. */
test('an MF is drained when the last context could not be made', { timeout: 5_000 }, async () => {
  const rig = new Rig();
  rig.engine.reserve = () => Promise.resolve().then(() => refuse('BUDGET'));
  const made = rig.create(context({ served: [httpMedia('m1', 0)] }));
  const drained = rig.contexts.drain();
  await assert.rejects(made);
  await drained;
  assert.equal(rig.contexts.size, 0);
});
