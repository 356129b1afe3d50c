import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SipMessage } from '../../../src/sip/types.ts';
import { AsHarness, originate } from '../as-harness.ts';
import { ANSWER_AUDIO, ANSWER_SESSION, AUDIO, AUDIO_ONLY, media, SESSION, section, sections } from '../sdp-examples.ts';

const ANSWER = ANSWER_SESSION + ANSWER_AUDIO;
const on = { config: { networkInitiated: true } };
const HANDSET = (port: number, id: number) =>
  section(port, 'passive', `alicetlsid${String(port).padStart(10, '0')}`, [`${id} subprotocol="http"`]);

/** An audio call, up and acknowledged; nothing of it was looked into. */
function talking(as = new AsHarness(on)): { as: AsHarness; onward: SipMessage; ok: SipMessage } {
  as.invite({ sdp: AUDIO_ONLY });
  const onward = as.only().message;
  as.respond(onward, 200, { sdp: ANSWER });
  const ok = as.only().message;
  assert.deepEqual([onward.body, ok.body], [AUDIO_ONLY, ANSWER], 'byte for byte');
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  return { as, onward, ok };
}

/** The network wants stream 0 at Alice; the MF gives its end. Returns the re-INVITE to Alice. */
async function offeredTo(as: AsHarness): Promise<SipMessage> {
  const done = as.instruct(originate('d-1', 0, 'served'));
  as.mfAnswers();
  assert.ok((await done).ok);
  return as.only().message;
}

describe('data channels that the network brings to a call without any', () => {
  // conformance: 24.186 9.3.2.2.2 — the AS offers the first data channel line itself
  test('the first line, by re-INVITE to the served user: what was agreed is repeated byte for byte', async () => {
    const { as } = talking();
    assert.deepEqual(as.events(), ['SESSION_ESTABLISHMENT_SUCCESS']);
    assert.equal(as.lastNotification.notification.mediaInfoList, undefined);
    const offer = await offeredTo(as);
    assert.equal(offer.method, 'INVITE');
    assert.deepEqual(media(offer.body), ['m=audio 40200', 'm=application 50000']);
    assert.equal(sections(offer.body)[0], ANSWER_AUDIO);
    assert.ok(offer.body.startsWith(ANSWER_SESSION.replace('9 1', '9 2')), 'the version is one more than Alice knows');
    as.respond(offer, 200, { sdp: SESSION.replace('3001 1', '3001 2') + AUDIO + HANDSET(40060, 0) });
    const sent = as.take();
    assert.deepEqual(
      sent.map(({ kind }) => kind),
      ['ack'],
      'Bob hears nothing of it',
    );
    assert.ok(as.lastPatch().some(({ path }) => path.endsWith('remoteMbEndpoint')));
    assert.equal(as.events().at(-1), 'MEDIA_CHANGE_SUCCESS');
  });

  test('afterwards the call is one with data channels: hold and a new line of the UE work', async () => {
    const { as, ok } = talking();
    const offer = await offeredTo(as);
    as.respond(offer, 200, { sdp: SESSION.replace('3001 1', '3001 2') + AUDIO + HANDSET(40060, 0) });
    as.mfAnswers();
    as.take();
    const line = HANDSET(40060, 0).replace('passive', 'actpass');
    as.inDialog('INVITE', 'caller', ok, 8, {
      sdp: `${SESSION.replace('3001 1', '3001 3')}${AUDIO}a=sendonly\r\n${line}`,
    });
    const held = as.only().message;
    assert.deepEqual(media(held.body), ['m=audio 40000'], 'Bob has never heard of the channel');
    as.respond(held, 200, { sdp: `${ANSWER.replace('9 1', '9 2')}a=recvonly\r\n` });
    const answer = as.take().find(({ kind }) => kind === 'response')!.message;
    assert.deepEqual(media(answer.body), ['m=audio 40200', 'm=application 50000']);
  });

  test('refused by the UE: the line is gone, the voice goes on', async () => {
    const { as } = talking();
    as.respond(await offeredTo(as), 488);
    assert.equal(as.mrm.at(-1)!.operation.method, 'DELETE');
    assert.equal(as.dispatcher.size, 1);
  });

  test('a re-INVITE that was refused is not what the next offer is made of', async () => {
    const { as, ok } = talking();
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: AUDIO_ONLY.replace('3001 1', '3001 2').replace('40000', '40002') });
    as.respond(as.only().message, 488);
    as.take();
    as.inDialog('ACK', 'caller', ok, 8);
    const offer = await offeredTo(as);
    assert.deepEqual(media(offer.body), ['m=audio 40200', 'm=application 50000']);
  });

  test('a late offer: known once the ACK has answered it', async () => {
    const as = new AsHarness(on);
    as.invite();
    const onward = as.only().message;
    as.respond(onward, 200, { sdp: ANSWER });
    assert.deepEqual(as.events(), []);
    const ok = as.only().message;
    as.inDialog('ACK', 'caller', ok, 7, { sdp: AUDIO_ONLY });
    as.take();
    assert.deepEqual(as.events(), ['SESSION_ESTABLISHMENT_SUCCESS']);
    const offer = await offeredTo(as);
    assert.deepEqual(media(offer.body), ['m=audio 40200', 'm=application 50000']);
  });

  // conformance: 23.228 AC.7.0 — only towards a UE that announced the capability
  test('a served user without the tag: the DCSF hears nothing, nothing is kept', () => {
    const as = new AsHarness(on);
    as.invite({ sdp: AUDIO_ONLY, route: '<sip:127.0.0.1:5080;lr;term>, <sip:odi-1@127.0.0.9:6060;lr>' });
    const onward = as.only().message;
    as.respond(onward, 200, { sdp: ANSWER, contact: 'Contact: <sip:bob@198.51.100.20:5060>;video\r\n' });
    assert.deepEqual(as.events(), []);
    assert.deepEqual(
      [...as.dispatcher.calls()].map(({ plain }) => plain),
      [null],
    );
  });

  test('the DCSF hears of the end, and only of sessions that it knows', () => {
    const { as, ok } = talking();
    as.inDialog('BYE', 'caller', ok, 8);
    assert.deepEqual(as.events(), ['SESSION_ESTABLISHMENT_SUCCESS', 'SESSION_TERMINATION']);
    const refused = new AsHarness(on);
    refused.invite({ sdp: AUDIO_ONLY });
    refused.respond(refused.only().message, 486);
    assert.deepEqual(refused.events(), []);
  });

  test('switched off: nothing is kept, nobody is told', () => {
    const { as } = talking(new AsHarness({ config: { networkInitiated: false } }));
    assert.deepEqual(as.events(), []);
    assert.equal([...as.dispatcher.calls()][0]!.plain, null);
  });
});
