import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AsHarness, originate, relay, terminate } from '../as-harness.ts';
import { ANSWER_AUDIO, ANSWER_SESSION, AUDIO_ONLY, E1, media, section } from '../sdp-examples.ts';

const ANSWER = ANSWER_SESSION + ANSWER_AUDIO;

function plain(as: AsHarness) {
  const invite = as.invite({ sdp: AUDIO_ONLY });
  const onward = as.only().message;
  return { invite, onward };
}

function established(as: AsHarness) {
  const { onward } = plain(as);
  as.respond(onward, 200, { sdp: ANSWER });
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  return { onward, ok };
}

describe('establishing', () => {
  // conformance: RFC 3261 12.1 — each To tag of the callee is an early dialog of the caller
  test('forks: each early dialog has its own tag towards the caller, the winner keeps it', () => {
    const as = new AsHarness();
    const { onward } = plain(as);
    as.respond(onward, 180, { tag: 'bob1' });
    const first = as.only().message;
    as.respond(onward, 183, { tag: 'bob2', sdp: ANSWER });
    const second = as.only().message;
    assert.notEqual(first.toTag, second.toTag);
    as.respond(onward, 180, { tag: 'bob1' });
    assert.equal(as.only().message.toTag, first.toTag);
    as.respond(onward, 200, { tag: 'bob2', sdp: ANSWER });
    assert.equal(as.only().message.toTag, second.toTag);
    // A late winner of a forking proxy is acknowledged and ended.
    as.respond(onward, 200, { tag: 'bob1', sdp: ANSWER });
    assert.deepEqual(as.take(), [], 'until the first is acknowledged nothing else is looked at');
    as.inDialog('ACK', 'caller', second, 7);
    as.take();
    as.respond(onward, 200, { tag: 'bob1', sdp: ANSWER });
    assert.deepEqual(
      as.take().map(({ message }) => `${message.method} ${message.toTag}`),
      ['ACK bob1', 'BYE bob1'],
    );
  });

  // conformance: RFC 3262 7.2 — RAck names the INVITE of its own leg; RSeq passes
  test('100rel end to end: RSeq passes, RAck is mapped', () => {
    const as = new AsHarness();
    const { onward } = plain(as);
    as.respond(onward, 183, { sdp: ANSWER, headers: 'Require: 100rel\r\nRSeq: 4711\r\n' });
    const progress = as.only().message;
    assert.equal(progress.first('rseq'), '4711');
    as.inDialog('PRACK', 'caller', progress, 8, { headers: 'RAck: 4711 7 INVITE\r\n' });
    const prack = as.only().message;
    assert.equal(prack.first('rack'), `4711 ${onward.cseq} INVITE`);
    as.respond(prack, 200);
    assert.equal(as.only().message.status, 200);
    as.inDialog('UPDATE', 'caller', progress, 9, { sdp: AUDIO_ONLY.replace('3001 1', '3001 2') });
    const update = as.only().message;
    assert.equal(update.method, 'UPDATE');
    as.respond(update, 200, { sdp: ANSWER });
    assert.equal(as.only().message.body, ANSWER);
  });

  // conformance: RFC 3261 15 — a 2xx that crosses the CANCEL is acknowledged and ended
  test('CANCEL: 487 at once, CANCEL onward, and a crossing 200 is acknowledged and ended', () => {
    const as = new AsHarness();
    const { invite, onward } = plain(as);
    as.respond(onward, 180);
    as.take();
    as.cancel(invite);
    assert.equal(as.only().message.status, 487);
    assert.deepEqual(as.cancelled, [{ branch: onward.via.branch, headers: 'Reason: SIP;cause=200\r\n' }]);
    as.respond(onward, 200, { sdp: ANSWER });
    const [ack, bye] = as.take();
    assert.equal(ack?.message.method, 'ACK');
    assert.equal(ack?.message.cseq, onward.cseq);
    assert.equal(bye?.message.method, 'BYE');
    as.respond(bye!.message, 200);
    assert.equal(as.dispatcher.size, 0);
  });

  test('CANCEL answered by 487 of the callee ends everything', () => {
    const as = new AsHarness();
    const { invite, onward } = plain(as);
    as.cancel(invite);
    as.take();
    as.respond(onward, 487);
    assert.deepEqual(as.take(), []);
    assert.equal(as.dispatcher.size, 0);
  });

  // conformance: RFC 3261 13.3.1.4 — the 2xx is repeated until its ACK, then BYE on both legs
  test('a 2xx without ACK is repeated, and given up after 64 * T1 with BYE to both', () => {
    const as = new AsHarness();
    const { onward } = plain(as);
    as.respond(onward, 200, { sdp: ANSWER });
    const first = as.only();
    as.timers.advance(3600);
    assert.deepEqual(
      as.take().map(({ wire }) => wire),
      [first.wire, first.wire, first.wire],
    );
    as.timers.advance(30_000);
    const last = as.take().filter(({ kind }) => kind !== 'response');
    assert.deepEqual(
      last.map(({ message }) => message.method),
      ['ACK', 'BYE', 'BYE'],
    );
  });

  test('a 2xx that comes again gets its ACK again', () => {
    const as = new AsHarness();
    const { onward } = plain(as);
    as.respond(onward, 200, { sdp: ANSWER });
    as.inDialog('ACK', 'caller', as.only().message, 7);
    const ack = as.only();
    as.respond(onward, 200, { sdp: ANSWER });
    assert.equal(as.only().wire, ack.wire);
  });

  test('a callee that cannot be reached: 408 after a timeout, 503 when nothing could be sent', () => {
    for (const [reason, status] of [
      ['timeout', 408],
      ['transport', 503],
    ] as const) {
      const as = new AsHarness();
      const { onward } = plain(as);
      as.dispatcher.transactionEvent({ kind: 'clientFailed', key: `${onward.via.branch} INVITE` as never, reason });
      assert.equal(as.only().message.status, status);
      assert.equal(as.dispatcher.size, 0);
    }
  });

  test('a call that rings for ever is released', () => {
    const as = new AsHarness({ config: { ringLimitMs: 60_000 } });
    const { onward } = plain(as);
    as.respond(onward, 180);
    as.take();
    as.timers.advance(70_000);
    assert.equal(as.only().message.status, 480);
    assert.equal(as.cancelled.length, 1);
  });
});

describe('in mid-call', () => {
  test('BYE passes, its answer comes back, nothing is left', () => {
    const as = new AsHarness();
    const { ok } = established(as);
    as.inDialog('BYE', 'caller', ok, 8, { headers: 'Reason: Q.850;cause=16\r\n' });
    const bye = as.only().message;
    assert.equal(bye.first('reason'), 'Q.850;cause=16');
    as.respond(bye, 200);
    assert.equal(as.only().message.status, 200);
    assert.equal(as.dispatcher.size, 0);
  });

  test('crossing BYEs are both answered', () => {
    const as = new AsHarness();
    const { ok, onward } = established(as);
    as.inDialog('BYE', 'caller', ok, 8);
    const bye = as.only().message;
    as.inDialog('BYE', 'callee', onward, 1);
    assert.equal(as.only().message.status, 200);
    as.respond(bye, 481);
    assert.equal(as.only().message.status, 481);
    assert.equal(as.dispatcher.size, 0);
  });

  // conformance: RFC 3261 14.2 — glare
  test("glare: 491 to the side that came second, and the callee's 491 goes back", () => {
    const as = new AsHarness();
    const { ok, onward } = established(as);
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: AUDIO_ONLY });
    const reinvite = as.only().message;
    as.inDialog('INVITE', 'callee', onward, 1, { sdp: ANSWER });
    assert.equal(as.only().message.status, 491);
    as.respond(reinvite, 491);
    assert.equal(as.only().message.status, 491);
    as.inDialog('INVITE', 'callee', onward, 2, { sdp: ANSWER });
    assert.equal(as.only().message.method, 'INVITE', 'afterwards the dialog is free');
  });

  test('a re-INVITE moves the target and the feature parameters of its side only', () => {
    const as = new AsHarness();
    const { ok, onward } = established(as);
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: AUDIO_ONLY });
    const reinvite = as.only().message;
    assert.match(reinvite.first('contact') ?? '', />;moved$/);
    as.respond(reinvite, 200, { sdp: ANSWER });
    as.inDialog('ACK', 'caller', as.only().message, 8);
    as.take();
    as.inDialog('INFO', 'callee', onward, 1);
    assert.equal(as.only().message.requestUri, 'sip:caller@192.0.2.10');
  });

  test('methods that nobody here knows pass, too old a CSeq is 500, a repeated one 482', () => {
    const as = new AsHarness();
    const { ok } = established(as);
    as.inDialog('DANCE', 'caller', ok, 9, { sdp: 'x', type: 'text/y' });
    const dance = as.only().message;
    assert.equal(`${dance.method} ${dance.body}`, 'DANCE x');
    as.respond(dance, 405, { headers: 'Allow: INVITE\r\n' });
    assert.equal(as.only().message.status, 405);
    as.inDialog('INFO', 'caller', ok, 8);
    assert.equal(as.only().message.status, 500);
    as.inDialog('INFO', 'caller', ok, 9);
    assert.equal(as.only().message.status, 482);
  });

  // conformance: RFC 4028 — the session ends when nobody refreshes it
  test('session timer: refreshed it goes on, else BYE to both', () => {
    const as = new AsHarness();
    const { onward } = plain(as);
    as.respond(onward, 200, { sdp: ANSWER, headers: 'Session-Expires: 100;refresher=uac\r\nRequire: timer\r\n' });
    const ok = as.only().message;
    assert.equal(ok.first('session-expires'), '100;refresher=uac');
    as.inDialog('ACK', 'caller', ok, 7);
    as.take();
    as.timers.advance(60_000);
    as.inDialog('UPDATE', 'caller', ok, 8, { headers: 'Session-Expires: 100;refresher=uac\r\n' });
    as.respond(as.only().message, 200, { headers: 'Session-Expires: 100;refresher=uac\r\n' });
    as.take();
    as.timers.advance(60_000);
    assert.deepEqual(as.take(), []);
    as.timers.advance(50_000);
    assert.deepEqual(
      as.take().map(({ message }) => message.method),
      ['BYE', 'BYE'],
    );
    assert.equal([...as.dispatcher.calls()][0]!.record.outcome, 'session timer');
  });

  test('the operator releases a call on both legs', () => {
    const as = new AsHarness();
    established(as);
    as.dispatcher.release();
    assert.deepEqual(
      as.take().map(({ message }) => message.method),
      ['BYE', 'BYE'],
    );
  });
});

describe('forks and the MF', () => {
  // conformance: R20 — one termination per early dialog, sharing the port; losers go at the 2xx
  test('each fork is a termination of its own with the same port; the losers go at the 2xx', async () => {
    const as = new AsHarness();
    as.invite({ sdp: E1 });
    const result = as.instruct({ ...terminate('m1', 0), ...relay('m2', 100), ...originate('d-1', 100, 'remote') });
    as.mfAnswers();
    await result;
    as.notified();
    const onward = as.only().message;
    const answer = (port: number, tls: string) =>
      ANSWER_SESSION +
      ANSWER_AUDIO +
      section(
        port,
        'passive',
        `${tls}tlsid000000000000m2`.slice(0, 20),
        ['100 subprotocol="http"'],
        ['a=3gpp-bdc-used-by:sender'],
      ) +
      section(
        port + 2,
        'passive',
        `${tls}tlsid000000000000d1`.slice(0, 20),
        ['100 subprotocol="http"'],
        ['a=3gpp-bdc-used-by:receiver'],
      );
    as.respond(onward, 183, { tag: 'bob1', sdp: answer(42000, 'one') });
    const first = as.only().message;
    as.mfAnswers();
    as.respond(onward, 183, { tag: 'bob2', sdp: answer(43000, 'two') });
    const second = as.only().message;
    assert.deepEqual(media(first.body), media(second.body), 'the caller hears the same ports in both');
    const added = as.lastPatch().find(({ path }) => path === '/terminations/-')?.value as {
      terminationId: string;
      medias: { localMbEndpoint: { portNumber: number }; remoteMbEndpoint: { portNumber: number } }[];
    };
    assert.equal(added.terminationId, 'remote-2');
    assert.deepEqual(
      added.medias.map((m) => [m.localMbEndpoint.portNumber, m.remoteMbEndpoint.portNumber]),
      [
        [50002, 43000],
        [50003, 43002],
      ],
    );
    as.mfAnswers();
    as.respond(onward, 200, { tag: 'bob2', sdp: answer(43000, 'two') });
    assert.equal(as.only().message.toTag, second.toTag);
    assert.deepEqual(
      as
        .lastPatch()
        .filter(({ op }) => op === 'remove')
        .map(({ path }) => path),
      ['/terminations/1'],
    );
  });

  // conformance: R25 — a lost context that nobody is to repair: voice goes on, its lines go to port 0
  test('a context that the MF lost: its lines go to port 0 on both legs by re-INVITE', async () => {
    const as = new AsHarness({ config: { repair: { limitMs: 0, offer: 'inPlace' } } });
    as.invite({ sdp: E1 });
    const result = as.instruct({ ...terminate('m1', 0), ...relay('m2', 100) });
    as.mfAnswers();
    await result;
    as.notified();
    const onward = as.only().message;
    const answer = ANSWER + section(42000, 'passive', 'calleetlsid000000m2x', ['100 subprotocol="http"']);
    as.respond(onward, 200, { sdp: answer });
    as.inDialog('ACK', 'caller', as.only().message, 7);
    as.take();
    as.mfAnswers();
    as.dispatcher.contextsLost(new Set(['ctx-1']), 'workerExit');
    const toServed = as.only().message;
    assert.equal(toServed.requestUri, 'sip:alice@192.0.2.10:5060');
    assert.deepEqual(media(toServed.body), ['m=audio 40200', 'm=application 0', 'm=application 0']);
    as.respond(toServed, 491);
    as.take();
    as.timers.advance(2100);
    const again = as.only().message;
    assert.equal(again.method, 'INVITE', 'glare is waited out');
    as.respond(again, 200, { sdp: `${AUDIO_ONLY}m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n`.repeat(1) });
    const [ack, toRemote] = as.take();
    assert.equal(ack?.message.method, 'ACK');
    assert.deepEqual(media(toRemote!.message.body), ['m=audio 40000', 'm=application 0']);
  });

  test('a PATCH that fails after the call is up costs the data channels only', async () => {
    const as = new AsHarness({ config: { repair: { limitMs: 0, offer: 'inPlace' } } });
    as.invite({ sdp: E1 });
    const result = as.instruct(terminate('m1', 0));
    as.mfAnswers();
    await result;
    as.notified();
    const onward = as.only().message;
    as.respond(onward, 200, { sdp: ANSWER });
    as.inDialog('ACK', 'caller', as.only().message, 7);
    as.take();
    as.mfAnswers({ ok: false, status: 500, detail: 'out of ports' });
    assert.equal(as.mrm.at(-1)!.operation.method, 'DELETE');
    assert.deepEqual(media(as.only().message.body), ['m=audio 40200', 'm=application 0', 'm=application 0']);
  });
});
