import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AsHarness } from '../as-harness.ts';
import { AUDIO, LOCAL_BOOTSTRAP, media, SESSION, sections, UE_FINGERPRINT } from '../sdp-examples.ts';
import { decided, VOICE } from './decided-call.ts';

/** What deployed handsets and the examples of the standards write, and ue-side.md lets them. */

describe('tolerated forms at the AS', () => {
  // conformance: ue-side 9 — leniency: blanks behind tls-id and setup, tlsId as alias, SHA-1's case; never emitted
  test('the forms of the examples of TS 26.114 and TS 24.186 are understood, and answered in ours', async () => {
    const as = new AsHarness();
    const line = LOCAL_BOOTSTRAP.replace('a=tls-id:', 'a=tlsId: ')
      .replace('a=setup:', 'a=setup: ')
      .replace('SHA-256', 'sha-256');
    as.invite({ sdp: SESSION + AUDIO + line });
    await decided(as);
    const { remoteDcEndpoint, securitySetup } = as.context().terminations[0]!.medias[0]!.dcMedia!;
    assert.equal(remoteDcEndpoint?.tlsId, '8cc666959a26dc0e0237');
    assert.deepEqual(remoteDcEndpoint?.fingerprints, [UE_FINGERPRINT]);
    assert.equal(securitySetup, 'ACTPASS');
    as.respond(as.only().message, 200, { sdp: VOICE });
    const answer = sections(as.only().message.body)[1]!;
    assert.match(answer, /^a=setup:active\r$/m);
    assert.match(answer, /^a=tls-id:\S{20,}\r$/m);
    assert.match(answer, /^a=fingerprint:SHA-256 /m);
    assert.doesNotMatch(answer, /tlsId/);
  });

  // conformance: ue-side 2.1 — the order of m-lines is not enforced: data channels may stand before the voice
  test('a data channel line before the audio line', async () => {
    const as = new AsHarness();
    as.invite({ sdp: SESSION + LOCAL_BOOTSTRAP + AUDIO });
    await decided(as);
    const onward = as.only().message;
    assert.deepEqual(sections(onward.body), [AUDIO]);
    as.respond(onward, 200, { sdp: VOICE });
    assert.deepEqual(media(as.only().message.body), ['m=application 50000', 'm=audio 40200']);
  });

  // conformance: ue-side 4.1 — a=connection has no meaning here
  test('a=connection is ignored', async () => {
    const as = new AsHarness();
    as.invite({ sdp: `${SESSION}${AUDIO}${LOCAL_BOOTSTRAP}a=connection:existing\r\n` });
    await decided(as);
    as.respond(as.only().message, 200, { sdp: VOICE });
    assert.match(sections(as.only().message.body)[1]!, /^m=application 50000 /);
  });
});
