import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AsHarness } from '../../ims-as/as-harness.ts';
import { ANSWER_AUDIO, ANSWER_SESSION, AUDIO_ONLY } from '../../ims-as/sdp-examples.ts';

/** A request inside a dialog that came with Max-Forwards 0 went on with -1, which no peer can read. */
// conformance: RFC 3261 16.3 — a request without hops left ends here with 483
test('a request inside a dialog without hops left is answered 483', () => {
  const as = new AsHarness();
  as.invite({ sdp: AUDIO_ONLY });
  as.respond(as.only().message, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO });
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  as.inDialog('INFO', 'caller', ok, 8, { maxForwards: 0 });
  assert.equal(as.only().message.status, 483);
  as.inDialog('INFO', 'caller', ok, 9, { maxForwards: 1 });
  assert.equal(as.only().message.first('max-forwards'), '0');
});
