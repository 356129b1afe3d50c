import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseSessionDescription } from '../../../src/sdp/parse.ts';
import { AS, AsHarness, originate, relay, terminate } from '../as-harness.ts';
import {
  ANSWER_AUDIO,
  ANSWER_SESSION,
  AUDIO,
  E1,
  LOCAL_BOOTSTRAP,
  MF_FINGERPRINT,
  media,
  SENDER_BOOTSTRAP,
  SESSION,
  section,
  sections,
} from '../sdp-examples.ts';

const ORIGINATING = { ...terminate('m1', 0), ...relay('m2', 100), ...originate('d-1', 100, 'remote') };
/** Ports that the harness gives: served m1 50000, served m2 50001, remote m2 50002, remote d-1 50003. */
const [SERVED_M1, SERVED_M2, REMOTE_M2, REMOTE_D1] = [50000, 50001, 50002, 50003];

async function originating(as: AsHarness, sdp = E1) {
  as.invite({ sdp });
  const result = as.instruct(ORIGINATING);
  as.mfAnswers();
  await result;
  as.notified();
  return as.only().message;
}

const ANSWER_M2 = section(
  42000,
  'passive',
  'calleetlsid000000m2x',
  ['100 subprotocol="http"'],
  ['a=3gpp-bdc-used-by:sender'],
);
const ANSWER_D1 = section(
  42002,
  'active',
  'calleetlsid000000d1x',
  ['100 subprotocol="http"'],
  ['a=3gpp-bdc-used-by:receiver'],
);
const ANSWER = ANSWER_SESSION + ANSWER_AUDIO + ANSWER_M2 + ANSWER_D1;

describe('bootstrap lines', () => {
  // conformance: R1, ue-side 12 E2 — what the originating AS offers to the other network
  test('originating: E1 becomes E2', async () => {
    const as = new AsHarness();
    const onward = await originating(as);
    const [audio, sender, receiver, ...rest] = sections(onward.body);
    assert.deepEqual(rest, []);
    assert.equal(audio, AUDIO);
    assert.equal(
      sender,
      SENDER_BOOTSTRAP.replace('m=application 40012', `m=application ${REMOTE_M2}`)
        .replace('\r\nb=AS', '\r\nc=IN IP4 198.51.100.5\r\nb=AS')
        .replace(/a=fingerprint:.*/, `a=fingerprint:${MF_FINGERPRINT}`)
        .replace(/a=tls-id:.*/, `a=tls-id:${/a=tls-id:(.*)/.exec(sender ?? '')?.[1]}`)
        .replace('a=dcmap:110 subprotocol="http"\r\n', ''),
    );
    assert.match(
      receiver ?? '',
      new RegExp(
        `^m=application ${REMOTE_D1} UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 198.51.100.5\r\nb=AS:500\r\na=sctp-port:5000\r\na=max-message-size:65536\r\na=setup:actpass\r\na=fingerprint:${MF_FINGERPRINT}\r\na=tls-id:\\S{20}\r\na=dcmap:100 subprotocol="http"\r\na=3gpp-bdc-used-by:receiver\r\n$`,
      ),
    );
  });

  // conformance: R2 — one context, one termination per leg, a mediaId in both is relayed
  test('originating: the context is served{m1 HTTP, m2 relay}, remote{m2 relay, d1 HTTP}', async () => {
    const as = new AsHarness();
    await originating(as);
    const { terminations } = as.context();
    assert.deepEqual(
      terminations.map((t) => [t.terminationId, ...t.medias.map((m) => `${m.mediaId} ${m.dcMedia?.mediaProxyConfig}`)]),
      [
        ['served', 'm1 HTTP_PROXY', 'm2 DC_APPLICATION_PROXY'],
        ['remote', 'm2 DC_APPLICATION_PROXY', 'd-1 HTTP_PROXY'],
      ],
    );
    const [m1, m2] = terminations[0]!.medias;
    // conformance: R5 — the POST leaves the address of lines that we answer out
    assert.equal(m1?.remoteMbEndpoint, undefined);
    assert.equal(m1?.dcMedia?.remoteDcEndpoint?.tlsId, '8cc666959a26dc0e0237');
    assert.equal(m1?.dcMedia?.securitySetup, 'ACTPASS');
    assert.deepEqual(Object.keys(m1?.dcMedia?.streams ?? {}), ['0']);
    assert.equal(m1?.dcMedia?.imsdc?.localSetup, 'ACTIVE');
    assert.equal(m1?.dcMedia?.imsdc?.ice, false);
    // conformance: R11 — bytes beside KiB
    assert.deepEqual([m2?.dcMedia?.maxMessageSize, m2?.dcMedia?.imsdc?.maxMessageSizeBytes], [1, 1024]);
    assert.equal(terminations[1]!.medias[0]?.dcMedia?.imsdc?.localSetup, 'ACTPASS');
  });

  // conformance: R1, ue-side 12 E4 — the answer to the caller; R5 — the MF is told while it goes out
  test('originating: the answer becomes E4, and the MF learns every address with it', async () => {
    const as = new AsHarness();
    const onward = await originating(as);
    as.respond(onward, 183, { sdp: ANSWER });
    const answer = as.only().message;
    const [audio, local, sender] = sections(answer.body);
    assert.equal(audio, ANSWER_AUDIO);
    assert.match(
      local ?? '',
      new RegExp(`^m=application ${SERVED_M1} [\\s\\S]*b=AS:500\r\n[\\s\\S]*a=setup:active\r\n`),
    );
    assert.match(local ?? '', /a=dcmap:0 subprotocol="http"\r\n$/);
    assert.ok(!local?.includes('dcmap:10 '));
    assert.match(
      sender ?? '',
      new RegExp(
        `^m=application ${SERVED_M2} [\\s\\S]*a=max-message-size:2048\r\na=setup:active\r\n[\\s\\S]*a=dcmap:100 subprotocol="http"\r\na=3gpp-bdc-used-by:sender\r\n$`,
      ),
    );
    const patch = as.lastPatch();
    const at = (path: string) => patch.find((item) => item.path === path)?.value;
    assert.deepEqual(at('/terminations/0/medias/0/remoteMbEndpoint'), {
      ip: { ipv4Addr: '192.0.2.10' },
      transport: 'UDP',
      portNumber: 40010,
    });
    assert.deepEqual(at('/terminations/1/medias/1/remoteMbEndpoint'), {
      ip: { ipv4Addr: '198.51.100.20' },
      transport: 'UDP',
      portNumber: 42002,
    });
    assert.equal(
      (at('/terminations/1/medias/0/dcMedia/remoteDcEndpoint') as { tlsId: string }).tlsId,
      'calleetlsid000000m2x',
    );
    assert.equal((at('/terminations/1/medias/1/dcMedia/imsdc') as { localSetup: string }).localSetup, 'PASSIVE');
    assert.equal((at('/terminations/1/medias/0/dcMedia/imsdc') as { localSetup: string }).localSetup, 'ACTIVE');
    assert.ok(
      patch.some(
        ({ op, path, value }) => op === 'test' && path === '/terminations/1/terminationId' && value === 'remote',
      ),
    );
    as.respond(onward, 200, { sdp: ANSWER });
    assert.equal(as.only().message.body, answer.body, 'the 2xx repeats the answer');
    assert.equal(as.events().at(-1), 'SESSION_ESTABLISHMENT_SUCCESS');
    assert.equal(as.mrm.length, 2);
  });

  // conformance: 24.186 9.3.3.2.1, ue-side 12 E3 — what the terminating AS offers to its UE
  test('terminating: E2 becomes E3', async () => {
    const as = new AsHarness();
    const receiver = SENDER_BOOTSTRAP.replace('sender', 'receiver').replace('40012', '40014').replace('324f', '444f');
    as.invite({
      sdp: SESSION + AUDIO + SENDER_BOOTSTRAP + receiver,
      route: `<sip:${AS};lr;term>, <sip:127.0.0.9:6060;lr>`,
    });
    assert.equal(as.lastNotification.notification.sessionInfo?.sessionCase, 'TERMINATING_IMS_SESSION');
    assert.equal(as.lastNotification.notification.notificationEvent.eventInitiator, 'REMOTE_IMS_SUBSCRIBER');
    const result = as.instruct({ ...terminate('m1', 100), ...relay('m2', 100), ...originate('d-1', 0, 'served') });
    assert.deepEqual(
      as.context().terminations.map((t) => [t.terminationId, ...t.medias.map((m) => m.mediaId)]),
      [
        ['served', 'm2', 'd-1'],
        ['remote', 'm1', 'm2'],
      ],
    );
    as.mfAnswers();
    await result;
    as.notified();
    const [audio, local, remote, ...rest] = sections(as.only().message.body);
    assert.deepEqual(rest, []);
    assert.equal(audio, AUDIO);
    assert.match(local ?? '', /a=dcmap:0 subprotocol="http"\r\n$/);
    assert.ok(!local?.includes('bdc-used-by'));
    assert.match(remote ?? '', /a=dcmap:100 subprotocol="http"\r\na=3gpp-bdc-used-by:receiver\r\n$/);
  });

  // conformance: R7 — o= is ours from the first data channel on, and its version counts what differs
  test('o= keeps its id on a leg and counts by one when a byte differs', async () => {
    const as = new AsHarness();
    const onward = await originating(as);
    assert.match(onward.body, /^v=0\r\no=ue-a 3001 1 IN IP4 192\.0\.2\.10\r\n/);
    as.respond(onward, 200, { sdp: ANSWER });
    const ok = as.only().message;
    assert.match(ok.body, /o=ue-b 9 1 IN IP4 198\.51\.100\.20/);
    as.inDialog('ACK', 'caller', ok, 7);
    as.take();
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: E1.replace('3001 1 ', '3001 55 ').replace('b=AS:41', 'a=sendonly') });
    assert.match(as.only().message.body, /o=ue-a 3001 2 IN/);
  });

  // conformance: R19 — nothing changes for the other leg: answered here, with the same ports, tls-ids and roles
  test('a re-INVITE that changes nothing for the callee is answered here', async () => {
    const as = new AsHarness();
    const onward = await originating(as);
    as.respond(onward, 200, { sdp: ANSWER });
    const ok = as.only().message;
    as.inDialog('ACK', 'caller', ok, 7);
    as.take();
    as.mfAnswers();
    const asked = as.mrm.length;
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: E1.replace('3001 1 ', '3001 2 ') });
    const own = as.only().message;
    assert.equal(own.status, 200);
    assert.equal(own.body, ok.body);
    assert.equal(as.mrm.length, asked, 'nothing changes for the MF');
    as.inDialog('ACK', 'caller', ok, 8);
    assert.deepEqual(as.take(), [], 'its ACK ends here');
    as.inDialog('INVITE', 'caller', ok, 9, {
      sdp: E1.replace('3001 1 ', '3001 3 '),
      headers: 'Session-Expires: 1800;refresher=uac\r\n',
    });
    assert.equal(as.only().message.method, 'INVITE', 'a session refresh keeps both legs alive');
  });

  // conformance: R12 — a new tls-id is a new association: the MF gives new values before the answer goes
  test('a new tls-id waits for the MF and is answered with what it gives', async () => {
    const as = new AsHarness();
    const onward = await originating(as);
    as.respond(onward, 200, { sdp: ANSWER });
    const ok = as.only().message;
    as.inDialog('ACK', 'caller', ok, 7);
    as.take();
    as.mfAnswers();
    as.inDialog('INVITE', 'caller', ok, 8, {
      sdp: E1.replace('3001 1 ', '3001 2 ').replace('8cc666959a26dc0e0237', 'newtlsidnewtlsid0001'),
    });
    assert.deepEqual(as.take(), []);
    assert.equal(
      as.notifications.filter(({ notification }) => notification.notificationEvent.eventType === 'MEDIA_CHANGE_REQUEST')
        .length,
      0,
    );
    const remoteDc = as
      .lastPatch()
      .find(({ path }) => path === '/terminations/0/medias/0/dcMedia/remoteDcEndpoint')?.value;
    assert.equal((remoteDc as { tlsId: string }).tlsId, 'newtlsidnewtlsid0001');
    const context = as.context();
    context.contextId = 'ctx-1';
    const m1 = context.terminations[0]!.medias[0]!;
    m1.localMbEndpoint = { ip: { ipv4Addr: '198.51.100.5' }, transport: 'UDP', portNumber: 51000 };
    m1.dcMedia = {
      ...m1.dcMedia!,
      localDcEndpoint: { sctpPort: 5000, fingerprints: [MF_FINGERPRINT], tlsId: 'mfnewmfnewmfnewmfnew' },
    };
    as.mfAnswers({
      ok: true,
      value: { mf: 'mf1', context: { contextId: 'ctx-1', terminations: [{ terminationId: 'served', medias: [m1] }] } },
    });
    const answer = sections(as.only().message.body)[1] ?? '';
    assert.match(answer, /^m=application 51000 /);
    assert.match(answer, /a=tls-id:mfnewmfnewmfnewmfnew\r\n/);
  });
});

describe('callees that do less', () => {
  test('fewer m-lines, as legacy handsets answer: voice goes on, the caller keeps its own bootstrap', async () => {
    const as = new AsHarness();
    const onward = await originating(as);
    as.respond(onward, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO });
    assert.deepEqual(media(as.only().message.body), ['m=audio 40200', `m=application ${SERVED_M1}`, 'm=application 0']);
    const removed = as
      .lastPatch()
      .filter(({ op }) => op === 'remove')
      .map(({ path }) => path);
    assert.deepEqual(removed, ['/terminations/1', '/terminations/0/medias/1']);
    assert.deepEqual(as.events().slice(-2), ['MEDIA_CHANGE_FAILURE', 'SESSION_ESTABLISHMENT_SUCCESS']);
  });

  test('port 0 on one line closes that line alone', async () => {
    const as = new AsHarness();
    const onward = await originating(as);
    as.respond(onward, 200, {
      sdp: ANSWER_SESSION + ANSWER_AUDIO + ANSWER_M2 + 'm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n',
    });
    assert.deepEqual(media(as.only().message.body), [
      'm=audio 40200',
      `m=application ${SERVED_M1}`,
      `m=application ${SERVED_M2}`,
    ]);
    assert.ok(as.lastPatch().some(({ op, path }) => op === 'remove' && path === '/terminations/1/medias/1'));
  });

  // conformance: R23, ue-side 8.4 — 488: once more without data lines
  test('488: offered once more without data lines; the caller keeps its own', async () => {
    const as = new AsHarness();
    const onward = await originating(as);
    as.respond(onward, 488);
    const retry = as.only().message;
    assert.equal(retry.method, 'INVITE');
    assert.equal(retry.callId, onward.callId);
    assert.equal(retry.cseq, onward.cseq + 1);
    assert.deepEqual(media(retry.body), ['m=audio 40000']);
    as.respond(retry, 200, { tag: 'bob2', sdp: ANSWER_SESSION + ANSWER_AUDIO });
    assert.deepEqual(media(as.only().message.body), ['m=audio 40200', `m=application ${SERVED_M1}`, 'm=application 0']);
  });

  test('488 after ringing: the retry leaves the early dialog behind', async () => {
    const as = new AsHarness();
    const onward = await originating(as);
    as.respond(onward, 180, { headers: 'Record-Route: <sip:scscf.example;lr>\r\n' });
    as.take();
    as.respond(onward, 488);
    const retry = as.only().message;
    assert.deepEqual(
      [retry.requestUri, retry.toTag, retry.list('route')],
      [onward.requestUri, '', onward.list('route')],
    );
  });

  test('488 again is final', async () => {
    const as = new AsHarness();
    const onward = await originating(as);
    as.respond(onward, 488);
    as.respond(as.only().message, 488, { tag: 'bob2' });
    assert.equal(as.only().message.status, 488);
    assert.deepEqual(
      as.mrm.map(({ operation }) => operation.method),
      ['POST', 'PATCH', 'DELETE'],
    );
  });

  test('a setup that does not answer ours, a stream nobody offered: refused, with a note', async () => {
    const as = new AsHarness();
    const onward = await originating(as);
    const wrong = section(42002, 'passive', 'calleetlsid000000d1x', ['7 subprotocol="http"']);
    as.respond(onward, 200, {
      sdp: ANSWER_SESSION + ANSWER_AUDIO + ANSWER_M2.replace('setup:passive', 'setup:holdconn') + wrong,
    });
    assert.deepEqual(media(as.only().message.body), ['m=audio 40200', `m=application ${SERVED_M1}`, 'm=application 0']);
    const notes = [...as.dispatcher.calls()][0]!.record.notes.join('\n');
    assert.match(notes, /remote m2: .*holdconn/);
  });

  // conformance: R23 — known without data channels: stripped
  test('a callee that registered without data channels is offered none', async () => {
    const as = new AsHarness();
    const inner = `REGISTER sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 1.1.1.1;branch=z9hG4bKr\r\nFrom: <sip:b@x>;tag=r\r\nTo: <sip:b@x>\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\nContact: <sip:b@1.1.1.1>;audio\r\nContent-Length: 0\r\n\r\n`;
    as.receive(
      `REGISTER sip:as@${AS} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9;branch=z9hG4bKreg\r\nMax-Forwards: 70\r\nFrom: <sip:s@x>;tag=s\r\nTo: <sip:bob@ims.example>\r\nCall-ID: t\r\nCSeq: 1 REGISTER\r\nExpires: 600\r\nContent-Type: message/sip\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`,
    );
    as.take();
    const onward = await originating(as);
    assert.deepEqual(media(onward.body), ['m=audio 40000']);
    assert.equal(as.lastNotification.notification.sessionInfo?.peerSupportsDc, false);
  });
});

const SMALL_LINE = LOCAL_BOOTSTRAP.replace('b=AS:500\r\n', '')
  .replace(/a=tls-id:.*\r\n/, '')
  .replace(/a=max-message-size:.*\r\n/, '');

describe('offers that cannot be used', () => {
  test('a line that cannot be read is refused and the DCSF is not asked about it', () => {
    const as = new AsHarness();
    as.invite({ sdp: SESSION + AUDIO + LOCAL_BOOTSTRAP.replace(/a=fingerprint:.*\r\n/, '') });
    assert.equal(as.notifications.length, 0);
    const onward = as.only().message;
    assert.deepEqual(media(onward.body), ['m=audio 40000']);
    as.respond(onward, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO });
    assert.deepEqual(media(as.only().message.body), ['m=audio 40200', 'm=application 0']);
  });

  // conformance: R24 — SDP we cannot parse passes on
  test('SDP that cannot be parsed passes byte for byte', () => {
    const as = new AsHarness();
    const odd = 'this is no SDP at all, though it says UDP/DTLS/SCTP\r\n';
    as.invite({ sdp: odd });
    assert.equal(as.only().message.body, odd);
  });

  // conformance: R24 — multipart is edited in place
  test('SDP inside multipart/mixed is edited in place', async () => {
    const as = new AsHarness();
    const before =
      '--b1\r\nContent-Type: application/pidf+xml\r\nContent-ID: <loc>\r\n\r\n<presence/>\r\n--b1\r\nContent-Type: application/sdp\r\n\r\n';
    as.invite({ sdp: `${before}${E1}\r\n--b1--\r\n`, contentType: 'multipart/mixed;boundary=b1' });
    const result = as.instruct(ORIGINATING);
    as.mfAnswers();
    await result;
    as.notified();
    const { body } = as.only().message;
    assert.ok(body.startsWith(before));
    assert.ok(body.endsWith('\r\n--b1--\r\n'));
    assert.deepEqual(media(body.slice(before.length)).length, 3);
  });

  // conformance: RFC 3264 5 — 200 m-lines are many, and none of our business
  test('200 m-lines: those beyond our bound are refused, the others live', () => {
    const as = new AsHarness();
    as.invite({ sdp: SESSION + AUDIO + SMALL_LINE.repeat(199) });
    assert.equal(Object.keys(as.lastNotification.notification.mediaInfoList ?? {}).length, 33);
    as.timers.advance(3010);
    assert.deepEqual(media(as.only().message.body), ['m=audio 40000']);
  });

  // conformance: R18 — the offer in a 2xx: data lines get port 0, the call goes on
  test('delayed offer: data lines of the 2xx are answered with port 0', () => {
    const as = new AsHarness();
    as.invite({});
    const onward = as.only().message;
    assert.equal(onward.body, '');
    const offer = `${ANSWER_SESSION}${ANSWER_AUDIO}${LOCAL_BOOTSTRAP}`;
    as.respond(onward, 200, { sdp: offer });
    const ok = as.only().message;
    assert.deepEqual(media(ok.body), ['m=audio 40200']);
    as.inDialog('ACK', 'caller', ok, 7, { sdp: SESSION + AUDIO });
    assert.deepEqual(media(as.only().message.body), ['m=audio 40000', 'm=application 0']);
    assert.equal(as.events().includes('SESSION_ESTABLISHMENT_REQUEST'), false);
  });

  // conformance: ue-side 3, R4, R7 — ICE in the offer is answered as ice-lite with one host candidate
  test('ICE: passive, ice-lite and one candidate, only because the offer had it', async () => {
    const as = new AsHarness();
    const ice =
      'a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=candidate:1 1 UDP 1 192.0.2.10 40010 typ host\r\n';
    as.invite({ sdp: SESSION + AUDIO + LOCAL_BOOTSTRAP + ice });
    const result = as.instruct(terminate('m1', 0));
    const asked = as.context().terminations[0]!.medias[0]!.dcMedia!;
    assert.deepEqual([asked.imsdc?.ice, asked.imsdc?.localSetup], [true, 'PASSIVE']);
    const info = as.context().terminations[0]!.medias[0]!;
    as.mfAnswers({
      ok: true,
      value: {
        mf: 'mf1',
        context: {
          contextId: 'ctx-1',
          terminations: [
            {
              terminationId: 'served',
              medias: [
                {
                  ...info,
                  localMbEndpoint: { ip: { ipv4Addr: '198.51.100.5' }, portNumber: 50100 },
                  dcMedia: {
                    ...asked,
                    localDcEndpoint: { sctpPort: 5000, fingerprints: [MF_FINGERPRINT], tlsId: 'mfmfmfmfmfmfmfmfmfmf' },
                    imsdc: { iceUfrag: 'q7Zk', icePwd: '3pVb8nXw0rTfLs6yKd2MhQ' },
                  },
                },
              ],
            },
          ],
        },
      },
    });
    await result;
    as.notified();
    as.respond(as.only().message, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO });
    const answer = parseSessionDescription(as.only().message.body);
    assert.ok(answer.session.includes('a=ice-lite'));
    const lines = answer.media[1]!.lines;
    assert.ok(lines.includes('a=setup:passive'));
    assert.ok(lines.includes('a=ice-ufrag:q7Zk'));
    assert.deepEqual(
      lines.filter((line) => line.startsWith('a=candidate')),
      ['a=candidate:1 1 UDP 2130706431 198.51.100.5 50100 typ host'],
    );
  });
});
