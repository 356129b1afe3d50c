import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AsHarness } from '../../ims-as/as-harness.ts';
import { E1 } from '../../ims-as/sdp-examples.ts';

/** The DCSF was not told of the end of a call that threw: its session and the content tokens of that lived on for a day. */
test('the DCSF hears of the end of a call that crashes', () => {
  const as = new AsHarness({ onError: () => undefined });
  as.invite({ sdp: E1 });
  const [call] = as.dispatcher.calls();
  Object.assign(call!.media!, { lines: null });
  as.notified();
  assert.equal(as.dispatcher.size, 0);
  assert.equal(as.events().at(-1), 'SESSION_TERMINATION');
  assert.equal(as.lastNotification.notification.sessionId, call!.sessionId);
});
