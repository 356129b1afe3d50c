import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MediaInstruction } from '../../../src/services/nimsas.ts';
import type { SipMessage } from '../../../src/sip/types.ts';
import { AsHarness, originate, relay, terminate } from '../as-harness.ts';
import {
  ANSWER_AUDIO,
  ANSWER_SESSION,
  APPLICATION,
  AUDIO,
  LOCAL_BOOTSTRAP,
  media,
  SENDER_BOOTSTRAP,
  SESSION,
  section,
  sections,
} from '../sdp-examples.ts';

describe('data channels of a delayed offer', () => {
  // conformance: R18 — answered with port 0 in the ACK, added later by re-INVITE
  test('they are asked about after the ACK, and offered to the callee by re-INVITE', async () => {
    const as = new AsHarness();
    as.invite({});
    const onward = as.only().message;
    as.respond(onward, 200, { sdp: `${ANSWER_SESSION}${ANSWER_AUDIO}${LOCAL_BOOTSTRAP}` });
    as.inDialog('ACK', 'caller', as.only().message, 7, { sdp: SESSION + AUDIO });
    as.take();
    assert.equal(as.lastNotification.notification.notificationEvent.eventType, 'MEDIA_CHANGE_REQUEST');
    assert.equal(as.lastNotification.notification.notificationEvent.eventInitiator, 'REMOTE_IMS_SUBSCRIBER');
    const mediaId = Object.keys(as.lastNotification.notification.mediaInfoList ?? {}).at(-1)!;
    const result = as.instruct(terminate(mediaId, 0));
    as.mfAnswers();
    assert.ok((await result).ok);
    as.notified();
    const reinvite = as.only().message;
    assert.equal(reinvite.requestUri, 'sip:bob@198.51.100.20:5060');
    assert.deepEqual(media(reinvite.body), ['m=audio 40000', 'm=application 50000']);
    assert.match(reinvite.body, /a=setup:actpass\r\n/);
    as.respond(reinvite, 200, {
      sdp: ANSWER_SESSION + ANSWER_AUDIO + section(42000, 'passive', 'calleetlsid00000000x', ['0 subprotocol="http"']),
    });
    assert.equal(as.only().message.method, 'ACK');
    assert.ok(as.lastPatch().some(({ path }) => path === '/terminations/0/medias/0/remoteMbEndpoint'));
    assert.equal(as.events().at(-1), 'MEDIA_CHANGE_SUCCESS');
  });

  test('with a line for the caller too: its answer does not end what the callee has yet to be offered', async () => {
    const as = new AsHarness();
    as.invite({});
    as.respond(as.only().message, 200, { sdp: `${ANSWER_SESSION}${ANSWER_AUDIO}${LOCAL_BOOTSTRAP}` });
    as.inDialog('ACK', 'caller', as.only().message, 7, { sdp: SESSION + AUDIO });
    as.take();
    const mediaId = Object.keys(as.lastNotification.notification.mediaInfoList ?? {}).at(-1)!;
    const result = as.instruct({ ...terminate(mediaId, 0), ...originate('d-1', 0, 'served') });
    as.mfAnswers();
    assert.ok((await result).ok);
    as.notified();
    const toCaller = as.only().message;
    assert.deepEqual(media(toCaller.body), ['m=audio 40200', 'm=application 50000']);
    const callersLine = section(40010, 'passive', 'callertlsid00000000x', ['0 subprotocol="http"']);
    as.respond(toCaller, 200, { sdp: SESSION + AUDIO + callersLine });
    const toCallee = as.take().find(({ message }) => message.method === 'INVITE')!.message;
    assert.equal(toCallee.requestUri, 'sip:bob@198.51.100.20:5060');
    assert.deepEqual(media(toCallee.body), ['m=audio 40000', 'm=application 50001']);
  });

  test('refused by the callee with 488: the MF gives them back, the voice goes on', async () => {
    const as = new AsHarness();
    as.invite({});
    as.respond(as.only().message, 200, { sdp: `${ANSWER_SESSION}${ANSWER_AUDIO}${LOCAL_BOOTSTRAP}` });
    as.inDialog('ACK', 'caller', as.only().message, 7, { sdp: SESSION + AUDIO });
    as.take();
    const mediaId = Object.keys(as.lastNotification.notification.mediaInfoList ?? {}).at(-1)!;
    const result = as.instruct(terminate(mediaId, 0));
    as.mfAnswers();
    await result;
    as.notified();
    as.respond(as.only().message, 488);
    assert.deepEqual(as.take(), []);
    assert.equal(as.mrm.at(-1)!.operation.method, 'DELETE');
    assert.equal(as.dispatcher.size, 1);
  });
});

/** What the far network offers besides its user's own line: the served user's way to its repository. */
const RECEIVER_BOOTSTRAP = SENDER_BOOTSTRAP.replace('used-by:sender', 'used-by:receiver')
  .replace('40012', '40014')
  .replace('324fab2d19fb44ed8c97', '11111111111111111111');
const [HTTP, SENDER, RECEIVER] = [
  ['100 subprotocol="http"'],
  ['a=3gpp-bdc-used-by:sender'],
  ['a=3gpp-bdc-used-by:receiver'],
];
const BOB = ANSWER_SESSION + ANSWER_AUDIO;
const ALICE = SESSION + AUDIO;
const aliceTakes = section(40014, 'passive', 'aliceanswers00000001', HTTP, RECEIVER);

/** A call whose callee offered `lines` in its 200, decided by the DCSF; returns our INVITE to that callee. */
async function late(
  as: AsHarness,
  lines: string,
  decide: (ids: readonly string[]) => Record<string, MediaInstruction>,
  options: { incapable?: boolean } = {},
): Promise<SipMessage> {
  as.invite(options);
  const onward = as.only().message;
  as.respond(onward, 200, { sdp: BOB + lines });
  as.inDialog('ACK', 'caller', as.only().message, 7, { sdp: ALICE });
  as.take();
  const offered = Object.entries(as.lastNotification.notification.mediaInfoList ?? {});
  const decision = decide(offered.filter(([, { mediaType }]) => mediaType === 'DC').map(([id]) => id));
  if (Object.keys(decision).length > 0) {
    const result = as.instruct(decision);
    if (as.mrm.length > 0) as.mfAnswers();
    assert.ok((await result).ok);
  }
  as.notified();
  return onward;
}

function aliceAnswers(as: AsHarness, offer: SipMessage, lines: string) {
  const contact = 'Contact: <sip:alice@192.0.2.10:5060>;+sip.app-subtype="webrtc-datachannel"\r\n';
  as.respond(offer, 200, { sdp: ALICE + lines, tag: 'alice1', contact });
}

const REFUSED = 'm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n';
const lateRelay = (as: AsHarness) => late(as, RECEIVER_BOOTSTRAP, ([id = '']) => relay(id, 100));
const told = (as: AsHarness, path: RegExp): boolean =>
  as.mrm.some(({ operation }) => operation.method === 'PATCH' && operation.patch.some(({ path: at }) => path.test(at)));

describe('relayed lines of a delayed offer', () => {
  // conformance: R18, R1 — lines in transit: offered to the far peer first, then to the one that wanted them
  test('the far peer is offered them first, then the one that offered them; the audio stays as it is', async () => {
    const as = new AsHarness();
    await late(as, SENDER_BOOTSTRAP + RECEIVER_BOOTSTRAP, ([own = '', transit = '']) => ({
      ...terminate(own, 100),
      ...relay(transit, 100),
    }));
    const toAlice = as.only().message;
    assert.equal(toAlice.requestUri, 'sip:alice@192.0.2.10:5060');
    const [audio, transit, ...none] = sections(toAlice.body);
    assert.deepEqual([audio, none], [ANSWER_AUDIO, []]);
    assert.match(transit!, /c=IN IP4 198\.51\.100\.5\r\n/);
    assert.match(transit!, /a=setup:actpass\r\n/);
    assert.match(transit!, /a=3gpp-bdc-used-by:receiver\r\n/);
    assert.doesNotMatch(transit!, /11111111111111111111|dcmap:110/);

    aliceAnswers(as, toAlice, aliceTakes);
    const toBob = as.take().find(({ message }) => message.method === 'INVITE')!.message;
    assert.equal(toBob.requestUri, 'sip:bob@198.51.100.20:5060');
    const [voice, own, back] = sections(toBob.body);
    assert.equal(voice, AUDIO);
    // What bob sent as offerer he now receives, and the other way round (R8).
    assert.match(own!, /a=dcmap:100 .*\r\na=3gpp-bdc-used-by:receiver\r\n/);
    assert.match(back!, /a=dcmap:100 .*\r\na=3gpp-bdc-used-by:sender\r\n/);

    const bobTakes =
      section(42000, 'passive', 'bobanswers0000000001', HTTP, RECEIVER) +
      section(42002, 'passive', 'bobanswers0000000002', HTTP, SENDER);
    as.respond(toBob, 200, { sdp: BOB + bobTakes });
    assert.deepEqual(
      as.take().map(({ message }) => message.method),
      ['ACK'],
    );
    as.mfAnswers();
    assert.ok(told(as, /terminations\/0\/medias\/0\/remoteMbEndpoint/), 'where alice is');
    assert.ok(told(as, /terminations\/1\/medias\/1\/remoteMbEndpoint/), 'where bob is');
    assert.equal(as.events().at(-1), 'MEDIA_CHANGE_SUCCESS');
  });

  test('refused by the far peer with port 0: the one that wanted it hears nothing, the MF gives it back', async () => {
    const as = new AsHarness();
    await lateRelay(as);
    aliceAnswers(as, as.only().message, REFUSED);
    assert.deepEqual(
      as.take().map(({ message }) => message.method),
      ['ACK'],
    );
    assert.equal(as.mrm.at(-1)!.operation.method, 'DELETE');
    assert.ok(as.events().includes('MEDIA_CHANGE_FAILURE'));
    assert.equal(as.dispatcher.size, 1);
  });

  test('refused by the far peer with 488: the call stays as it is', async () => {
    const as = new AsHarness();
    await lateRelay(as);
    as.respond(as.only().message, 488);
    assert.deepEqual(as.take(), []);
    assert.equal(as.mrm.at(-1)!.operation.method, 'DELETE');
    assert.equal(as.dispatcher.size, 1);
  });

  test('refused by the one that wanted it: the far peer gets port 0', async () => {
    for (const status of [200, 488]) {
      const as = new AsHarness();
      await lateRelay(as);
      aliceAnswers(as, as.only().message, aliceTakes);
      const toBob = as.take().find(({ message }) => message.method === 'INVITE')!.message;
      as.respond(toBob, status, status === 200 ? { sdp: BOB + REFUSED } : {});
      const toAlice = as.take().find(({ message }) => message.method === 'INVITE')!.message;
      assert.equal(toAlice.requestUri, 'sip:alice@192.0.2.10:5060');
      assert.deepEqual(media(toAlice.body), ['m=audio 40200', 'm=application 0']);
    }
  });

  // conformance: RFC 3261 14.1 — glare with an offer of ours is waited out, the lines are not lost
  test('glare: a 491 is waited out; a hold that comes meanwhile passes and takes no line with it', async () => {
    const as = new AsHarness();
    const onward = await lateRelay(as);
    as.respond(as.only().message, 491);
    as.take();
    const held = `${ANSWER_AUDIO}a=sendonly\r\n`;
    // Bob repeats the line as it was answered. His peer learns of it with his hold.
    as.inDialog('INVITE', 'callee', onward, 1, {
      sdp: ANSWER_SESSION.replace('9 1 IN', '9 2 IN') + held + REFUSED,
    });
    const hold = as.take().find(({ message }) => message.method === 'INVITE')!.message;
    assert.equal(sections(hold.body)[0], held);
    assert.match(sections(hold.body)[1]!, /^m=application [1-9].*a=dcmap:100 /s);
    aliceAnswers(as, hold, aliceTakes);
    const answered = as.only().message;
    assert.deepEqual(media(answered.body), ['m=audio 40000', 'm=application 0']);
    as.inDialog('ACK', 'callee', onward, 1);
    as.take();
    as.timers.advance(4_100);
    const toBob = as.take().find(({ message }) => message.method === 'INVITE')!.message;
    assert.equal(toBob.requestUri, 'sip:callee@192.0.2.20');
    assert.match(sections(toBob.body)[1]!, /^m=application [1-9].*a=3gpp-bdc-used-by:sender/s);
  });

  // conformance: R23 — a far peer that showed no data channels is not bothered
  test('a caller whose Contact says nothing of data channels is not offered them', async () => {
    const as = new AsHarness();
    await late(as, RECEIVER_BOOTSTRAP, ([id = '']) => relay(id, 100), { incapable: true });
    assert.deepEqual(as.take(), []);
    assert.equal(as.mrm.at(-1)!.operation.method, 'DELETE');
  });

  // conformance: RFC 3262 5, R18 — an offer in a reliable 18x, answered in the PRACK, is a delayed offer like any other
  test('offered in a reliable 183 and answered in the PRACK: added once the call is up', async () => {
    const as = new AsHarness();
    as.invite();
    const onward = as.only().message;
    const reliable = 'Require: 100rel\r\nRSeq: 1\r\n';
    as.respond(onward, 183, { sdp: BOB + RECEIVER_BOOTSTRAP, headers: reliable });
    const progress = as.only().message;
    assert.deepEqual(media(progress.body), ['m=audio 40200']);
    as.inDialog('PRACK', 'caller', progress, 8, { sdp: ALICE, headers: 'RAck: 1 7 INVITE\r\n' });
    const prack = as.only().message;
    assert.deepEqual(media(prack.body), ['m=audio 40000', 'm=application 0']);
    as.respond(prack, 200);
    as.respond(onward, 200);
    as.take();
    assert.ok(!as.events().some((event) => event.endsWith('_REQUEST')), 'nobody is asked while the call is set up');
    as.inDialog('ACK', 'caller', progress, 7);
    as.take();
    assert.equal(as.events().at(-1), 'MEDIA_CHANGE_REQUEST');
    const offered = Object.entries(as.lastNotification.notification.mediaInfoList ?? {});
    const [id = ''] = offered.find(([, { mediaType }]) => mediaType === 'DC') ?? [];
    const result = as.instruct(relay(id, 100));
    as.mfAnswers();
    assert.ok((await result).ok);
    as.notified();
    const toAlice = as.only().message;
    assert.match(sections(toAlice.body)[1]!, /^m=application [1-9].*a=3gpp-bdc-used-by:receiver/s);
  });

  test('a binding comes back to its peer as that one wrote it, with ICE if it did ICE', async () => {
    const as = new AsHarness();
    const ice = 'a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n';
    const atServer = APPLICATION.replace('1000-UE,1002-UE', '1000-Server,1002-Server') + ice;
    await late(as, atServer, ([id = '']) => ({
      [id]: {
        mediaId: id,
        mediaResourceType: 'DC',
        mediaInstruction: 'TERMINATE_MEDIA',
        dcMediaSpecification: {
          mediaProxyConfig: 'DC_APPLICATION_PROXY',
          mdc2EndpointDcAs: { ip: { ipv4Addr: '127.0.0.1' }, transport: 'TCP', portNumber: 10 },
          streams: { 1000: { streamId: 1000 }, 1002: { streamId: 1002 } },
        },
      },
    }));
    const { body } = as.only().message;
    assert.match(body, /a=3gpp-req-app:10000005;adc-stream-id-endpoint=1000-Server,1002-Server\r\n/);
    assert.match(body, /a=3gpp-qos-hint:loss=0\.01;latency=100\r\n/);
    assert.equal(as.context().terminations[0]!.medias[0]!.dcMedia!.imsdc?.ice, true);
  });
});

describe('end-to-end lines of a delayed offer', () => {
  // conformance: RFC 8842 5.2, R18 — tls-id and fingerprint of an end-to-end line are its peer's to say: it offers again
  test('the AS offers nothing in their name; when the UE offers them again, they pass byte for byte', async () => {
    const as = new AsHarness();
    const onward = await late(as, APPLICATION, () => ({}));
    assert.deepEqual(as.take(), []);
    const again = APPLICATION.replace('505a612b34853d06e66a', '22222222222222222222');
    as.inDialog('INVITE', 'callee', onward, 1, {
      sdp: ANSWER_SESSION.replace('9 1 IN', '9 2 IN') + ANSWER_AUDIO + again,
    });
    as.notified();
    const toAlice = as.only().message;
    assert.deepEqual(sections(toAlice.body), [ANSWER_AUDIO, again]);
    const taken = section(40020, 'passive', 'aliceanswers00000002', ['1000 label="local_10000005_1_draw"']);
    aliceAnswers(as, toAlice, taken);
    assert.deepEqual(sections(as.only().message.body), [AUDIO, taken]);
  });
});
