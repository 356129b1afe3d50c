import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AsHarness, flow, pass, relay } from '../as-harness.ts';
import {
  ANSWER_AUDIO,
  APPLICATION,
  AUDIO,
  LOCAL_BOOTSTRAP,
  media,
  SESSION,
  sections,
  UE_FINGERPRINT,
} from '../sdp-examples.ts';
import { changed, decided, established, VOICE } from './decided-call.ts';

/** The must-reject table of ue-side.md 9, row by row, through the AS: offers. */

const MD5 = 'a=fingerprint:MD5 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B';
const SHA1 = `a=fingerprint:SHA-1 ${UE_FINGERPRINT.slice(8, 8 + 59)}`;
const M = 'm=application 40010 UDP/DTLS/SCTP webrtc-datachannel';

/** Rows whose reaction is port 0: what is wrong with the line, and what the record of the call says. */
const PORT_ZERO: [row: string, line: string, note: RegExp][] = [
  ['another protocol (E10 a)', LOCAL_BOOTSTRAP.replace('UDP/', 'TCP/'), /TCP\/DTLS\/SCTP/],
  ['another format', LOCAL_BOOTSTRAP.replace(M, 'm=application 40010 UDP/DTLS/SCTP 5000'), /'5000' is not/],
  ['a second format', LOCAL_BOOTSTRAP.replace(M, `${M} x`), /webrtc-datachannel x/],
  ['no sctp-port', changed(LOCAL_BOOTSTRAP, 'sctp-port'), /no a=sctp-port/],
  ['sctp-port with a leading zero (E10 b)', changed(LOCAL_BOOTSTRAP, 'sctp-port', 'a=sctp-port:05000'), /05000/],
  ['sctp-port no number', changed(LOCAL_BOOTSTRAP, 'sctp-port', 'a=sctp-port:five'), /five is not/],
  ['sctp-port beyond 65535', changed(LOCAL_BOOTSTRAP, 'sctp-port', 'a=sctp-port:65536'), /65536 is not/],
  ['no fingerprint at either level', changed(LOCAL_BOOTSTRAP, 'fingerprint'), /no a=fingerprint/],
  ['MD5 (E10 c)', changed(LOCAL_BOOTSTRAP, 'fingerprint', MD5), /MD5 is broken/],
  ['MD2', changed(LOCAL_BOOTSTRAP, 'fingerprint', MD5.replace('MD5', 'MD2')), /MD2 is broken/],
  [
    'a fingerprint too short for its hash (E10 d)',
    changed(LOCAL_BOOTSTRAP, 'fingerprint', 'a=fingerprint:SHA-256 4A:AD:B9'),
    /needs 32 bytes, got 3/,
  ],
  ['SHA-1 only', changed(LOCAL_BOOTSTRAP, 'fingerprint', SHA1), /SHA-1 is not accepted/],
  ['setup:holdconn (E10 h)', changed(LOCAL_BOOTSTRAP, 'setup', 'a=setup:holdconn'), /holdconn/],
  ['no dcmap left', changed(changed(LOCAL_BOOTSTRAP, 'dcmap:10'), 'dcmap:0', 'a=dcmap:70000'), /exceeds 65534/],
];

/** Rows whose reaction is to drop a dcmap: it stands beside a good one. */
const DROPPED: [row: string, dcmap: string][] = [
  ['an unreliable bootstrap channel (E10 e)', '10 subprotocol="http";max-retr=3'],
  ['a bootstrap channel with a time limit', '10 subprotocol="http";max-time=3'],
  ['an unordered bootstrap channel', '10 subprotocol="http";ordered=false'],
  ['an id below 1000 with another subprotocol', '10 subprotocol="coap"'],
  ['an id below 1000 that is no bootstrap id', '20 subprotocol="http"'],
  ['both limits (E10 f)', '1001 max-retr=5;max-time=100'],
  ['an id out of range (E10 i)', '70000 label="x"'],
  ['the id 65535', '65535 label="x"'],
  ['bad quoting', '1001 label="open'],
  ['a bad escape', '1001 label="%zz"'],
];

describe('must-reject rows at the AS', () => {
  for (const [row, line, note] of PORT_ZERO) {
    // conformance: ue-side 9, E10 — a line that cannot be used gets port 0, is not offered on, and costs the voice nothing
    test(`port 0: ${row}`, () => {
      const as = new AsHarness();
      as.invite({ sdp: SESSION + AUDIO + line });
      assert.equal(as.notifications.length, 0, 'there is nothing to be decided');
      const onward = as.only().message;
      assert.deepEqual(sections(onward.body), [AUDIO]);
      as.respond(onward, 200, { sdp: VOICE });
      const answer = sections(as.only().message.body);
      assert.equal(answer[0], ANSWER_AUDIO);
      // RFC 3264 6: the m-line is repeated, with port 0.
      assert.equal(answer[1], `${line.split('\r\n', 1)[0]!.replace(' 40010 ', ' 0 ')}\r\n`);
      assert.match([...as.dispatcher.calls()][0]!.record.notes.join('\n'), note);
      assert.equal(as.mrm.length, 0);
    });
  }

  for (const [row, line] of PORT_ZERO) {
    test(`port 0 in mid-call, beside a line that lives: ${row}`, async () => {
      const as = new AsHarness();
      const { ok } = await established(as, SESSION + AUDIO + LOCAL_BOOTSTRAP);
      const told = as.mrm.length;
      const offer = SESSION.replace('3001 1 ', '3001 2 ') + AUDIO + LOCAL_BOOTSTRAP + line.replaceAll('40010', '40030');
      as.inDialog('INVITE', 'caller', ok, 8, { sdp: offer });
      const answer = as.only().message;
      assert.equal(answer.status, 200, 'nothing of it concerns the callee');
      assert.deepEqual(sections(answer.body).slice(0, 2), sections(ok.body));
      assert.match(sections(answer.body)[2]!, /^m=application 0 /);
      assert.equal(as.mrm.length, told);
    });
  }

  for (const [row, dcmap] of DROPPED) {
    // conformance: ue-side 9, E10 — a dcmap that cannot be used is dropped alone
    test(`dropped: ${row}`, async () => {
      const as = new AsHarness();
      const line = changed(LOCAL_BOOTSTRAP, 'dcmap:10', `a=dcmap:${dcmap}`);
      as.invite({ sdp: SESSION + AUDIO + line });
      const told = as.lastNotification.notification.mediaInfoList?.m1?.dcMediaSpecification?.streams;
      assert.deepEqual(Object.keys(told ?? {}), ['0'], 'the DCSF does not hear of it');
      await decided(as);
      as.respond(as.only().message, 200, { sdp: VOICE });
      const answer = sections(as.only().message.body)[1]!;
      assert.match(answer, /^m=application 50000 /);
      assert.deepEqual(answer.match(/^a=dcmap:.*$/gm), ['a=dcmap:0 subprotocol="http"']);
    });
  }

  for (const [how, instructions] of [
    ['not anchored', pass('m1')],
    ['e2DCe', relay('m1', 1000)],
    ['e2e', flow('m1', 1000)],
  ] as const) {
    // conformance: R14 — two dcmaps with one id are both dropped, and the far peer is offered neither
    test(`dropped: what the DCSF was never asked about does not travel (${how})`, async () => {
      const as = new AsHarness();
      const bad = ['a=dcmap:1004 label="a"', 'a=dcmap:1004 label="b"', 'a=dcmap:1006 max-retr=5;max-time=100'];
      const line = APPLICATION.replace(/a=dcmap:1002.*\r\n/, `${bad.join('\r\n')}\r\na=dcsa:1004 x\r\n`);
      as.invite({ sdp: SESSION + AUDIO + line });
      const told = as.lastNotification.notification.mediaInfoList?.m1?.dcMediaSpecification?.streams;
      assert.deepEqual(Object.keys(told ?? {}), ['1000']);
      const result = as.instruct(instructions);
      if (as.mrm.length > 0) as.mfAnswers();
      assert.ok((await result).ok);
      as.notified();
      const onward = sections(as.only().message.body)[1]!;
      assert.match(onward, /a=dcmap:1000 /);
      assert.doesNotMatch(onward, /1004|1006/);
    });
  }

  // conformance: ue-side 9, E10 — a bad tls-id counts as absent: the line lives, and its answer has none (RFC 8842 5.3)
  for (const tlsId of ['short', 'x'.repeat(256), '12345678901234567 90', '1234567890123456789!']) {
    test(`a tls-id of ${tlsId.length} characters (${tlsId.slice(0, 20)}) is ignored (E10 j)`, async () => {
      const as = new AsHarness();
      as.invite({ sdp: SESSION + AUDIO + changed(LOCAL_BOOTSTRAP, 'tls-id', `a=tls-id:${tlsId}`) });
      await decided(as);
      assert.equal(as.context().terminations[0]!.medias[0]!.dcMedia?.remoteDcEndpoint?.tlsId, undefined);
      as.respond(as.only().message, 200, { sdp: VOICE });
      const answer = sections(as.only().message.body)[1]!;
      assert.match(answer, /^m=application 50000 /);
      assert.doesNotMatch(answer, /tls-id/);
      assert.match([...as.dispatcher.calls()][0]!.record.notes.join('\n'), /^served m1: tls-id/m);
    });
  }

  // conformance: ue-side 9 — a missing setup in an offer is active: the MF waits for the ClientHello
  test('no a=setup in an offer', async () => {
    const as = new AsHarness();
    as.invite({ sdp: SESSION + AUDIO + changed(LOCAL_BOOTSTRAP, 'setup') });
    await decided(as);
    as.respond(as.only().message, 200, { sdp: VOICE });
    assert.match(sections(as.only().message.body)[1]!, /^a=setup:passive\r$/m);
    assert.equal(as.context().terminations[0]!.medias[0]!.dcMedia?.imsdc?.localSetup, 'PASSIVE');
  });

  // conformance: ue-side 9 — SHA-1 alone is accepted by the lab switch only
  test('SHA-1 with the lab switch', async () => {
    const as = new AsHarness({ config: { acceptSha1: true } });
    as.invite({ sdp: SESSION + AUDIO + changed(LOCAL_BOOTSTRAP, 'fingerprint', SHA1) });
    await decided(as);
    as.respond(as.only().message, 200, { sdp: VOICE });
    assert.match(sections(as.only().message.body)[1]!, /^m=application 50000 /);
  });

  // conformance: ue-side 9 — an id from 1000 without a binding: by policy of the DCSF, refused by default
  test('an application channel that names no application', async () => {
    const as = new AsHarness();
    const unbound = changed(APPLICATION, '3gpp-req-app').replace(/label="[^"]*"/g, 'label="free"');
    as.invite({ sdp: SESSION + AUDIO + unbound });
    await decided(as);
    const onward = as.only().message;
    assert.deepEqual(sections(onward.body), [AUDIO]);
    as.respond(onward, 200, { sdp: VOICE });
    assert.deepEqual(media(as.only().message.body), ['m=audio 40200', 'm=application 0']);
  });

  // conformance: ue-side 9 — the whole data channel re-offer refused, nothing else changed: 488
  test('a re-offer with nothing but refused applications', async () => {
    const as = new AsHarness();
    const { ok } = await established(as, SESSION + AUDIO + LOCAL_BOOTSTRAP);
    const unknown = APPLICATION.replaceAll('10000005', '77777777');
    as.inDialog('INVITE', 'caller', ok, 8, {
      sdp: SESSION.replace('3001 1 ', '3001 2 ') + AUDIO + LOCAL_BOOTSTRAP + unknown,
    });
    await decided(as);
    assert.equal(as.only().message.status, 488);
    const [, bootstrap] = [...as.dispatcher.calls()][0]!.media!.lines;
    assert.equal(bootstrap!.state, 'open', 'what was agreed before stands');
  });

  // conformance: ue-side 9, R24 — a re-INVITE with SDP that cannot be parsed: 488 once lines of ours are in the call
  test('SDP that cannot be parsed, in mid-call', async () => {
    const as = new AsHarness();
    const { ok } = await established(as, SESSION + AUDIO + LOCAL_BOOTSTRAP);
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: 'this is no SDP, UDP/DTLS/SCTP or not\r\n' });
    assert.equal(as.only().message.status, 488);
    as.inDialog('INVITE', 'caller', ok, 9, { sdp: SESSION.replace('3001 1 ', '3001 2 ') + AUDIO + LOCAL_BOOTSTRAP });
    assert.equal(as.only().message.body, ok.body, 'what was agreed before stands');
  });

  test('SDP that cannot be parsed passes in a call of voice alone', async () => {
    const as = new AsHarness();
    as.invite({ sdp: SESSION + AUDIO });
    as.respond(as.only().message, 200, { sdp: VOICE });
    const ok = as.only().message;
    as.inDialog('ACK', 'caller', ok, 7);
    as.take();
    const odd = 'this is no SDP, UDP/DTLS/SCTP or not\r\n';
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: odd });
    assert.equal(as.only().message.body, odd);
  });
});
