import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SipMessage } from '../../../src/sip/types.ts';
import { AsHarness, originate, relay, terminate } from '../../ims-as/as-harness.ts';
import { ANSWER_AUDIO, ANSWER_SESSION, AUDIO_ONLY, E1, section } from '../../ims-as/sdp-examples.ts';

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

/**
 * The AS answers a re-INVITE itself that changes nothing for the other peer (R19). Its 2xx said nothing of the session timer
 * and turned it off for that peer: nobody refreshed any more, and the other one ended the call.
 */
describe('a re-INVITE that changes nothing for the other peer, while a session timer runs', () => {
  const bootstrap = (port: number, tlsId: string, usedBy: string) =>
    section(port, 'passive', tlsId, ['100 subprotocol="http"'], [`a=3gpp-bdc-used-by:${usedBy}`]);
  const answer =
    ANSWER_SESSION +
    ANSWER_AUDIO +
    bootstrap(42000, 'calleetlsid000000m2x', 'sender') +
    bootstrap(42002, 'calleetlsid000000d1x', 'receiver');

  /** A call with bootstrap channels, 600 s after it was answered. */
  async function inCall(sessionExpires: string) {
    const as = new AsHarness();
    as.invite({ sdp: E1 });
    const decided = as.instruct({ ...terminate('m1', 0), ...relay('m2', 100), ...originate('d-1', 100, 'remote') });
    as.mfAnswers();
    await decided;
    as.notified();
    const onward = as.only().message;
    as.respond(onward, 200, { sdp: answer, headers: `Session-Expires: ${sessionExpires}\r\nRequire: timer\r\n` });
    const ok = as.only().message;
    as.inDialog('ACK', 'caller', ok, 7);
    as.mfAnswers();
    as.timers.advance(600_000);
    as.take();
    return { as, ok };
  }
  const again = (version: number) => E1.replace('3001 1 ', `3001 ${version} `);

  // conformance: RFC 4028 9, R19 — a 2xx of ours keeps the session timer, and who refreshes it
  for (const [agreed, supported, kept] of [
    ['uac', 'Supported: 100rel, timer\r\n', '1200;refresher=uac'],
    ['uas', '', '1200;refresher=uas'],
  ] as const)
    test(`the ${agreed} of the call refreshes on`, async () => {
      const { as, ok } = await inCall(`1800;refresher=${agreed}`);
      as.inDialog('INVITE', 'caller', ok, 8, { sdp: again(2), headers: supported });
      const own = as.only().message;
      assert.deepEqual([own.status, own.first('session-expires')], [200, kept]);
      assert.equal(own.first('require'), agreed === 'uac' ? 'timer' : undefined);
    });

  test('who is to refresh and does not say that it can gets the answer of the other peer', async () => {
    const { as, ok } = await inCall('1800;refresher=uac');
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: again(2) });
    assert.equal(as.only().message.isRequest, true);
  });

  test('so does who comes when less is left than the shortest interval', async () => {
    const { as, ok } = await inCall('680;refresher=uas');
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: again(2) });
    assert.equal(as.only().message.isRequest, true);
  });
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
