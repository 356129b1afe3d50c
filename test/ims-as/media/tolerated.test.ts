import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AsHarness, originate, pass, relay, remove, terminate } from '../as-harness.ts';
import {
  ANSWER_SESSION,
  APPLICATION,
  AUDIO,
  LOCAL_BOOTSTRAP,
  MF_FINGERPRINT,
  media,
  SESSION,
  sections,
  UE_FINGERPRINT,
} from '../sdp-examples.ts';
import { changed, decided, VOICE } from './decided-call.ts';

const ICE =
  'a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=candidate:1 1 UDP 1 192.0.2.10 40020 typ host\r\n';

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

  // conformance: ue-side 2.1 — data channels are read before the voice, and offered on behind it
  for (const [what, instructions, expected] of [
    ['relayed', { ...relay('m0', 1000, 1002), ...relay('m2', 2000, 2002) }, ['audio 40000', '50002', '50003', 'video']],
    ['not anchored', { ...pass('m0'), ...pass('m2') }, ['audio 40000', '40020', '40040', 'video']],
    [
      'with a line of ours',
      { ...originate('d-1', 0, 'remote'), ...pass('m0'), ...pass('m2') },
      ['audio 40000', '50000', '40020', '40040', 'video'],
    ],
  ] as const) {
    test(`lines before the voice go on behind it, and each is answered where it was offered: ${what}`, async () => {
      const as = new AsHarness();
      const second = APPLICATION.replace('40020', '40040')
        .replaceAll('1000', '2000')
        .replace('1002 label', '2002 label');
      const video = 'm=video 40050 RTP/AVP 99\r\n';
      as.invite({ sdp: SESSION + APPLICATION + AUDIO + second + video });
      const told = as.lastNotification.notification.mediaInfoList ?? {};
      assert.deepEqual(Object.keys(told), ['m0', 'm1', 'm2', 'm3']);
      const result = as.instruct(instructions);
      if (as.mrm.length > 0) as.mfAnswers();
      assert.ok((await result).ok);
      as.notified();
      const onward = as.only().message;
      const order = media(onward.body).map((line) => line.replace('m=application ', '').replace(/^m=/, ''));
      assert.deepEqual(
        order.map((line) => (line.startsWith('video') ? 'video' : line)),
        expected,
      );
      const answered = sections(onward.body).map((text) =>
        text.startsWith('m=application') ? text.replace('setup:actpass', 'setup:passive') : text,
      );
      as.respond(onward, 200, { sdp: ANSWER_SESSION + answered.join('') });
      const [first, voice, third, last] = sections(as.only().message.body);
      assert.match(first!, /^m=application [\s\S]*dcmap:1000 /);
      assert.equal(voice, AUDIO);
      assert.match(third!, /^m=application [\s\S]*dcmap:2000 /);
      assert.equal(last, video);
    });
  }

  // conformance: ue-side 5, RFC 8841 5.1 — a=sctp-port:0 ends the association, as port 0 does
  test('sctp-port 0 in a re-offer closes the line on both legs', async () => {
    const as = new AsHarness();
    as.invite({ sdp: SESSION + AUDIO + APPLICATION });
    const result = as.instruct(relay('m1', 1000, 1002));
    as.mfAnswers();
    assert.ok((await result).ok);
    as.notified();
    const answered = APPLICATION.replace('actpass', 'passive').replace('40020', '42000');
    as.respond(as.only().message, 200, { sdp: VOICE + answered });
    const ok = as.only().message;
    as.inDialog('ACK', 'caller', ok, 7);
    as.take();
    as.mfAnswers();
    const closing = changed(APPLICATION, 'sctp-port', 'a=sctp-port:0');
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: SESSION.replace('3001 1 ', '3001 2 ') + AUDIO + closing });
    const onward = as.only().message;
    assert.deepEqual(media(onward.body), ['m=audio 40000', 'm=application 0']);
    as.respond(onward, 200, { sdp: `${VOICE}m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n` });
    assert.deepEqual(media(as.only().message.body), ['m=audio 40200', 'm=application 0']);
    assert.equal(as.mrm.at(-1)!.operation.method, 'DELETE');
  });

  // conformance: ue-side 3 — ICE is mirrored in answers; what we offer has none
  test('a relayed line with ICE is offered on without ICE', async () => {
    const as = new AsHarness();
    as.invite({ sdp: SESSION + AUDIO + APPLICATION + ICE });
    const result = as.instruct(relay('m1', 1000, 1002));
    const [served, remote] = as.context().terminations.map(({ medias }) => medias[0]!.dcMedia?.imsdc);
    assert.deepEqual([served?.ice, remote?.ice], [true, false]);
    as.mfAnswers();
    assert.ok((await result).ok);
    as.notified();
    assert.doesNotMatch(as.only().message.body, /ice-|candidate/);
  });

  // conformance: ue-side 3, RFC 8445 2.5 — a lite UE gets ICE lines, and the MF is told to expect no checks
  test('a UE that is ice-lite itself', async () => {
    const as = new AsHarness();
    as.invite({ sdp: `${SESSION}a=ice-lite\r\n${AUDIO}${LOCAL_BOOTSTRAP}${ICE}` });
    const result = as.instruct(terminate('m1', 0));
    const context = structuredClone(as.context());
    const [media] = context.terminations[0]!.medias;
    assert.equal(media!.dcMedia?.imsdc?.ice, true, 'credentials are needed');
    media!.localMbEndpoint = { ip: { ipv4Addr: '198.51.100.5' }, transport: 'UDP', portNumber: 50_000 };
    media!.dcMedia!.imsdc = { iceUfrag: 'q7Zk', icePwd: '3pVb8nXw0rTfLs6yKd2MhQ' };
    media!.dcMedia!.localDcEndpoint = { sctpPort: 5000, fingerprints: [MF_FINGERPRINT], tlsId: 'mfmfmfmfmfmfmfmfmfmf' };
    as.mfAnswers({ ok: true, value: { mf: 'mf1', context: { ...context, contextId: 'ctx-1' } } });
    assert.ok((await result).ok);
    as.notified();
    as.respond(as.only().message, 200, { sdp: VOICE });
    assert.match(sections(as.only().message.body)[1]!, /^a=ice-ufrag:q7Zk\r$/m);
    const told = as.lastPatch().find(({ path }) => path === '/terminations/0/medias/0/dcMedia/imsdc');
    assert.equal((told!.value as { ice: boolean }).ice, false);
  });

  // conformance: ue-side 3 — by configuration what we offer has ICE-lite lines, until its peer answers without ICE
  test('imsAs.media.iceInOffers', async () => {
    const as = new AsHarness({ config: { iceInOffers: true } });
    as.invite({ sdp: SESSION + AUDIO + APPLICATION });
    const result = as.instruct({ ...relay('m1', 1000, 1002), ...originate('d-1', 100, 'remote') });
    const context = structuredClone(as.context());
    const asked = context.terminations.map(({ medias }) => medias.map(({ dcMedia }) => dcMedia?.imsdc?.ice));
    assert.deepEqual(asked, [[false], [true, true]], 'the caller did not do ICE');
    let portNumber = 50_000;
    for (const { medias } of context.terminations) {
      for (const media of medias) {
        media.localMbEndpoint = { ip: { ipv4Addr: '198.51.100.5' }, transport: 'UDP', portNumber: portNumber++ };
        media.dcMedia!.imsdc = media.dcMedia!.imsdc?.ice ? { iceUfrag: 'q7Zk', icePwd: '3pVb8nXw0rTfLs6yKd2MhQ' } : {};
        media.dcMedia!.localDcEndpoint = {
          sctpPort: 5000,
          fingerprints: [MF_FINGERPRINT],
          tlsId: `mf${portNumber}`.padEnd(20, 'x'),
        };
      }
    }
    as.mfAnswers({ ok: true, value: { mf: 'mf1', context: { ...context, contextId: 'ctx-1' } } });
    assert.ok((await result).ok);
    as.notified();
    const onward = as.only().message;
    assert.equal(onward.body.match(/^a=ice-lite\r$/gm)?.length, 1);
    assert.deepEqual(
      onward.body.match(/^a=candidate:.*\r$/gm)?.map((line) => line.split(' ').slice(4, 6).join(' ')),
      ['198.51.100.5 50001', '198.51.100.5 50002'],
    );
    const answered = sections(onward.body)
      .slice(1)
      .map((text) => text.replace(/^a=(?:ice|candidate).*\r\n/gm, ''));
    as.respond(onward, 200, { sdp: VOICE + answered.join('').replaceAll('actpass', 'passive') });
    const ok = as.only().message;
    assert.doesNotMatch(ok.body, /ice|candidate/);
    const told = as.lastPatch().filter(({ path }) => path.startsWith('/terminations/1/') && path.endsWith('/imsdc'));
    assert.deepEqual(
      told.map(({ value }) => (value as { ice: boolean }).ice),
      [false, false],
    );
  });

  // conformance: ue-side 11 (13) — 3gpp-bdc-used-by on a line without 100 and 110 is ignored, and not emitted
  test('a local bootstrap line that says who uses it', async () => {
    const as = new AsHarness();
    as.invite({ sdp: `${SESSION}${AUDIO}${LOCAL_BOOTSTRAP}a=3gpp-bdc-used-by:sender\r\n` });
    assert.equal(as.lastNotification.notification.mediaInfoList?.m1?.dcMediaSpecification?.bdcUsedBy, undefined);
    await decided(as);
    as.respond(as.only().message, 200, { sdp: VOICE });
    assert.doesNotMatch(sections(as.only().message.body)[1]!, /used-by/);
  });

  // conformance: R7, RFC 8839 5.3 — what we offer to a peer that does ICE says again that we are ice-lite
  test('a re-offer of ours to a peer with ICE', async () => {
    const as = new AsHarness();
    as.invite({ sdp: SESSION + AUDIO + LOCAL_BOOTSTRAP + ICE + APPLICATION });
    const result = as.instruct({ ...terminate('m1', 0), ...pass('m2') });
    const { context } = structuredClone({ context: as.context() });
    for (const { medias } of context.terminations) {
      for (const media of medias) {
        media.localMbEndpoint = { ip: { ipv4Addr: '198.51.100.5' }, transport: 'UDP', portNumber: 50_000 };
        media.dcMedia!.imsdc = { iceUfrag: 'q7Zk', icePwd: '3pVb8nXw0rTfLs6yKd2MhQ' };
        media.dcMedia!.localDcEndpoint = {
          sctpPort: 5000,
          fingerprints: [MF_FINGERPRINT],
          tlsId: 'mfmfmfmfmfmfmfmfmfmf',
        };
      }
    }
    as.mfAnswers({ ok: true, value: { mf: 'mf1', context: { ...context, contextId: 'ctx-1' } } });
    assert.ok((await result).ok);
    as.notified();
    as.respond(as.only().message, 200, { sdp: VOICE + APPLICATION.replace('actpass', 'passive') });
    const ok = as.only().message;
    assert.match(ok.body, /^a=ice-lite\r$/m, 'the answer says it');
    as.inDialog('ACK', 'caller', ok, 7);
    as.take();
    as.mfAnswers();
    assert.ok((await as.instruct(remove('m2'))).ok);
    const offer = as.only().message;
    assert.match(sections(offer.body)[1]!, /^a=ice-ufrag:q7Zk\r$/m);
    assert.match(offer.body, /^a=ice-lite\r$/m);
  });
});
