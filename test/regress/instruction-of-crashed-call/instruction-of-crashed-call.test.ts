import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AsHarness, terminate } from '../../ims-as/as-harness.ts';
import { E1 } from '../../ims-as/sdp-examples.ts';

/** An instruction that waited in a call which threw was never answered: at the SBI server it stayed in flight for ever. */
test('an instruction that waits in a call that crashes is answered', { timeout: 5_000 }, async () => {
  const crashed: unknown[] = [];
  const as = new AsHarness({ onError: (error) => void crashed.push(error) });
  as.invite({ sdp: E1 });
  const [call] = as.dispatcher.calls();
  const waiting = as.instruct(terminate('m1', 0));
  Object.assign(call!.media!, { lines: null });
  as.mfAnswers();
  assert.equal(crashed.length, 1);
  assert.equal((await waiting).ok, false);
  assert.equal(as.dispatcher.size, 0);
});
