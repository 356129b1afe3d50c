import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SipMessage } from '../../../src/sip/types.ts';
import { AsHarness, originate } from '../../ims-as/as-harness.ts';
import { ANSWER_AUDIO, ANSWER_SESSION, AUDIO_ONLY } from '../../ims-as/sdp-examples.ts';

/** An audio call with a session timer (RFC 4028), up and acknowledged. */
function talking(sessionExpires: string): { as: AsHarness; ok: SipMessage } {
  const as = new AsHarness({ config: { networkInitiated: true } });
  as.invite({ sdp: AUDIO_ONLY });
  const headers = `Session-Expires: ${sessionExpires}\r\nRequire: timer\r\n`;
  as.respond(as.only().message, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO, headers });
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  return { as, ok };
}

/** The network brings a data channel to Alice, the caller, by a re-INVITE of ours. */
async function offered(as: AsHarness): Promise<SipMessage> {
  const done = as.instruct(originate('d-1', 0, 'served'));
  as.mfAnswers();
  assert.ok((await done).ok);
  return as.only().message;
}

/**
 * Our re-INVITE refreshes the session (RFC 4028 7.1). Without Session-Expires its 2xx turned the timer of that peer off;
 * nobody refreshed any more, and at the expiry the other peer, or we, ended a call whose voice was well.
 */
for (const [agreed, said] of [
  ['uac', 'uas'],
  ['uas', 'uac'],
] as const) {
  // conformance: RFC 4028 7.1 — an offer of ours keeps the session timer, and who refreshes it
  test(`an offer of ours keeps the session timer: the ${agreed} of the call refreshes`, async () => {
    const { as } = talking(`1800;refresher=${agreed}`);
    as.timers.advance(600_000);
    const offer = await offered(as);
    // No later than the other leg expects its refresh.
    assert.equal(offer.first('session-expires'), `1200;refresher=${said}`);
    assert.equal(offer.first('supported'), 'timer');
  });
}

test('a peer that wants a longer interval gets it', async () => {
  const { as } = talking('1800;refresher=uas');
  as.timers.advance(900_000);
  const offer = await offered(as);
  assert.equal(offer.first('session-expires'), '900;refresher=uac');
  as.respond(offer, 422, { headers: 'Min-SE: 1800\r\n' });
  as.take();
  as.timers.advance(5_000);
  assert.equal(as.only().message.first('session-expires'), '1800;refresher=uac');
});

test('without a session timer an offer of ours says nothing of one', async () => {
  const { as } = talking('');
  assert.equal((await offered(as)).first('session-expires'), undefined);
});

// conformance: RFC 4028 7.2 — a 2xx without Session-Expires turns the session timer off in mid dialog
test('a 2xx without Session-Expires ends the timer, not the call', () => {
  const { as, ok } = talking('100;refresher=uac');
  as.inDialog('UPDATE', 'caller', ok, 8);
  as.respond(as.only().message, 200);
  as.take();
  as.timers.advance(3_600_000);
  assert.deepEqual(as.take(), []);
  assert.equal(as.dispatcher.size, 1);
});

// conformance: RFC 4028 4 — 90 seconds is the shortest interval there is
test('an interval below the minimum does not end the call early', () => {
  const { as } = talking('1;refresher=uac');
  as.timers.advance(80_000);
  assert.deepEqual(as.take(), []);
});
