import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AS, AsHarness } from '../as-harness.ts';
import { ANSWER_AUDIO, ANSWER_SESSION, AUDIO_ONLY, E1 } from '../sdp-examples.ts';

const ANSWER = ANSWER_SESSION + ANSWER_AUDIO;

/** A call that is answered and acknowledged. */
function talking(as: AsHarness) {
  as.invite({ sdp: AUDIO_ONLY });
  const onward = as.only().message;
  as.respond(onward, 200, { sdp: ANSWER });
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  return { onward, ok };
}

describe('B2BUA headers', () => {
  // conformance: R22 — the Route below us goes on verbatim, ours is taken off
  test('the onward INVITE: own Call-ID, tag, Via and Contact; the Route below; hops less one', () => {
    const as = new AsHarness();
    const invite = as.invite({ sdp: AUDIO_ONLY });
    const { message, nextHop } = as.only();
    assert.equal(message.requestUri, 'sip:bob@ims.example');
    assert.equal(nextHop, 'sip:odi-1@127.0.0.9:6060;lr');
    assert.deepEqual(message.list('route'), ['<sip:odi-1@127.0.0.9:6060;lr>']);
    assert.equal(message.first('max-forwards'), '67');
    assert.equal(message.list('via').length, 1);
    assert.deepEqual(message.list('record-route'), []);
    assert.notEqual(message.callId, invite.callId);
    assert.notEqual(message.fromTag, invite.fromTag);
    assert.equal(message.first('from')?.replace(/;tag=.*/, ''), '"Alice, A" <sip:alice@ims.example>');
    assert.equal(message.toTag, '');
    assert.equal(message.body, AUDIO_ONLY);
  });

  // conformance: R21 — Contact is ours with every feature parameter of the peer's
  test('feature parameters of the Contact pass in both directions, expires does not', () => {
    const as = new AsHarness();
    as.invite({ sdp: AUDIO_ONLY });
    const onward = as.only().message;
    assert.match(
      onward.first('contact') ?? '',
      new RegExp(`^<sip:[^@]+@${AS}>;\\+sip\\.app-subtype="webrtc-datachannel";audio$`),
    );
    as.respond(onward, 180);
    assert.match(
      as.only().message.first('contact') ?? '',
      new RegExp(`^<sip:[^@]+@${AS}>;\\+sip\\.app-subtype="webrtc-datachannel";video$`),
    );
  });

  // conformance: R21 — headers that nobody here understands pass byte for byte and in order
  test('unknown headers pass as they are written, both ways', () => {
    const as = new AsHarness();
    const odd = 'X-One: a ;  b=",;"\r\nP-Strange:   spaces\r\nX-Folded: one\r\n  two\r\nx-one: again\r\ns: compact\r\n';
    as.invite({ sdp: AUDIO_ONLY, headers: odd });
    const onward = as.only();
    assert.ok(onward.wire.includes(odd), onward.wire);
    as.respond(onward.message, 200, { sdp: ANSWER, headers: odd });
    const answer = as.only();
    assert.ok(answer.wire.includes(odd));
    assert.equal(answer.message.body, ANSWER);
  });

  test('responses carry the Vias, the Record-Route and the dialog of the caller', () => {
    const as = new AsHarness();
    const invite = as.invite({ sdp: AUDIO_ONLY });
    as.respond(as.only().message, 180);
    const { message } = as.only();
    assert.equal(message.span('via'), invite.span('via'));
    assert.equal(message.span('record-route'), invite.span('record-route'));
    assert.equal(message.callId, 'call-a');
    assert.equal(message.cseq, 7);
    assert.notEqual(message.toTag, 'bob1');
    assert.notEqual(message.toTag, '');
  });

  // conformance: RFC 3261 12.1 — route sets of both dialogs, kept apart
  test('in-dialog requests follow the route set of their own leg', () => {
    const as = new AsHarness();
    as.invite({ sdp: AUDIO_ONLY });
    const onward = as.only().message;
    as.respond(onward, 200, { sdp: ANSWER });
    const ok = as.only().message;
    as.inDialog('ACK', 'caller', ok, 7);
    const ack = as.only();
    assert.deepEqual(ack.message.list('route'), ['<sip:rr4@127.0.0.9:6062;lr>', '<sip:rr3@127.0.0.9:6060;lr>']);
    assert.equal(ack.message.requestUri, 'sip:bob@198.51.100.20:5060');
    assert.equal(ack.message.cseq, onward.cseq);
    as.inDialog('INFO', 'callee', onward, 1, { sdp: 'anything', type: 'text/x', headers: 'Info-Package: p\r\n' });
    const info = as.only();
    assert.deepEqual(info.message.list('route'), ['<sip:rr1@127.0.0.9:6060;lr>', '<sip:rr2@127.0.0.9:6061;lr>']);
    assert.equal(info.message.requestUri, 'sip:alice@192.0.2.10:5060');
    assert.equal(info.message.body, 'anything');
    assert.equal(info.message.first('info-package'), 'p');
  });

  test('the Contact of a redirection is not ours to replace', () => {
    const as = new AsHarness();
    as.invite({ sdp: AUDIO_ONLY });
    as.respond(as.only().message, 302, { contact: 'Contact: <sip:elsewhere@192.0.2.77>;q=0.5\r\n' });
    const { message } = as.only();
    assert.equal(message.status, 302);
    assert.equal(message.first('contact'), '<sip:elsewhere@192.0.2.77>;q=0.5');
  });

  test('challenges and other refusals pass with their headers', () => {
    for (const [status, header] of [
      [407, 'Proxy-Authenticate: Digest realm="x", nonce="y"\r\n'],
      [480, 'Retry-After: 30\r\n'],
      [603, 'Reason: Q.850;cause=21\r\n'],
    ] as const) {
      const as = new AsHarness();
      as.invite({ sdp: AUDIO_ONLY });
      as.respond(as.only().message, status, { headers: header, contact: '' });
      const { message, wire } = as.only();
      assert.equal(message.status, status);
      assert.ok(wire.includes(header));
      assert.equal(as.dispatcher.size, 0);
    }
  });

  test('configured headers are taken out', () => {
    const as = new AsHarness({ config: { stripHeaders: new Set(['p-secret']) } });
    as.invite({ sdp: AUDIO_ONLY, headers: 'P-Secret: 1\r\nP-Open: 2\r\n' });
    const { message } = as.only();
    assert.equal(message.first('p-secret'), undefined);
    assert.equal(message.first('p-open'), '2');
  });

  // conformance: R21 — Join and Target-Dialog that name a dialog of ours are translated, any other passes
  test('Join and Target-Dialog name the dialog as the other side knows it', () => {
    const as = new AsHarness();
    const { onward, ok } = talking(as);
    const ours = (to: string, from: string) => `call-a;${to}=${ok.toTag};${from}=alice1`;
    const theirs = (to: string, from: string) => `${onward.callId};${to}=bob1;${from}=${onward.fromTag}`;
    for (const [index, [title, to, from]] of [
      ['Join', 'to-tag', 'from-tag'],
      ['Target-Dialog', 'remote-tag', 'local-tag'],
    ].entries()) {
      const name = title!.toLowerCase();
      const headers = `${title}: ${ours(to!, from!)}\r\n`;
      as.invite({ callId: `call-${index}`, sdp: AUDIO_ONLY, headers });
      assert.equal(as.only().message.first(name), theirs(to!, from!));
      const foreign = `elsewhere@host;${to}=a;${from}=b`;
      as.invite({ callId: `other-${index}`, sdp: AUDIO_ONLY, headers: `${title}: ${foreign}\r\n` });
      assert.equal(as.only().message.first(name), foreign);
    }
  });

  // conformance: R21 — what we mint names instance, worker and epoch: Call-ID, tags and branches
  test('identifiers of ours carry the route token', () => {
    const as = new AsHarness();
    const invite = as.invite({ sdp: AUDIO_ONLY });
    const onward = as.only().message;
    as.respond(onward, 180);
    const ringing = as.only().message;
    const token = onward.callId;
    assert.match(token, /^as\.0\.1\./);
    assert.notEqual(token, invite.callId);
    for (const [what, minted] of [
      ['From tag', onward.fromTag],
      ['To tag', ringing.toTag],
      ['branch', onward.via.branch],
    ] as const) {
      assert.ok(minted?.includes(token), `${what} ${minted}`);
    }
  });

  // conformance: R21 — Replaces that names a dialog of ours is translated, any other passes
  test('Replaces and Refer-To name the dialog as the other side knows it', () => {
    const as = new AsHarness();
    const { onward, ok } = talking(as);
    as.invite({
      callId: 'call-c',
      sdp: AUDIO_ONLY,
      headers: `Replaces: call-a;to-tag=${ok.toTag};from-tag=alice1;early-only\r\n`,
    });
    assert.equal(
      as.only().message.first('replaces'),
      `${onward.callId};to-tag=bob1;from-tag=${onward.fromTag};early-only`,
    );
    as.invite({ callId: 'call-d', sdp: AUDIO_ONLY, headers: 'Replaces: foreign;to-tag=a;from-tag=b\r\n' });
    assert.equal(as.only().message.first('replaces'), 'foreign;to-tag=a;from-tag=b');
    const escaped = encodeURIComponent(`call-a;to-tag=${ok.toTag};from-tag=alice1`);
    as.inDialog('REFER', 'callee', onward, 1, { headers: `Refer-To: <sip:c@ims.example?Replaces=${escaped}>\r\n` });
    const referTo = as.only().message.first('refer-to') ?? '';
    assert.match(
      decodeURIComponent(referTo),
      new RegExp(`Replaces=${onward.callId};to-tag=bob1;from-tag=${onward.fromTag}>`),
    );
  });
});

describe('session case', () => {
  // conformance: R22 — P-Served-User, then the Route that named us, then the listener
  for (const [what, servedUser, route, expected] of [
    ['sescase before the Route', 'sescase=term', ';orig', 'TERMINATING_IMS_SESSION'],
    ['sescase without Route', 'sescase=orig', undefined, 'ORIGINATING_IMS_SESSION'],
    ['a sescase that nobody knows', 'sescase=sideways', ';term', 'TERMINATING_IMS_SESSION'],
    ['no sescase: Route term', 'regstate=reg', ';term', 'TERMINATING_IMS_SESSION'],
    ['no P-Served-User: Route orig', undefined, ';orig', 'ORIGINATING_IMS_SESSION'],
    ['neither: the listener', undefined, '', 'ORIGINATING_IMS_SESSION'],
    ['no Route at all: the listener', undefined, undefined, 'ORIGINATING_IMS_SESSION'],
  ] as const) {
    test(what, () => {
      const as = new AsHarness();
      as.invite({
        sdp: E1,
        headers: servedUser === undefined ? '' : `P-Served-User: <sip:u@ims.example>;${servedUser}\r\n`,
        route: route === undefined ? '' : `<sip:${AS};lr${route}>, <sip:odi-1@127.0.0.9:6060;lr>`,
      });
      assert.equal(as.lastNotification.notification.sessionInfo?.sessionCase, expected);
    });
  }
});

describe('requests that end here', () => {
  test('Max-Forwards 0 is 483; a full AS answers 503 with Retry-After', () => {
    const as = new AsHarness({ maxCalls: 1 });
    as.invite({ maxForwards: 0 });
    assert.equal(as.only().message.status, 483);
    as.invite({ sdp: AUDIO_ONLY });
    as.take();
    as.invite({ sdp: AUDIO_ONLY, callId: 'call-b' });
    const { message } = as.only();
    assert.equal(message.status, 503);
    assert.ok(Number(message.first('retry-after')) > 0);
  });

  test('OPTIONS is answered, unknown methods outside a dialog are 405 with Allow, unknown dialogs 481', () => {
    const as = new AsHarness();
    const head = (method: string, to: string) =>
      `${method} sip:as@${AS} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9;branch=z9hG4bK${method}${to}\r\nMax-Forwards: 70\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:x@y>${to}\r\nCall-ID: ${method}\r\nCSeq: 1 ${method}\r\nContent-Length: 0\r\n\r\n`;
    as.receive(head('OPTIONS', ''));
    const options = as.only().message;
    assert.equal(options.status, 200);
    assert.ok(options.list('allow').includes('UPDATE'));
    as.receive(head('PUBLISH', ''));
    const refused = as.only().message;
    assert.equal(refused.status, 405);
    assert.ok(refused.list('allow').includes('INVITE'));
    as.receive(head('BYE', ';tag=nobody-s0'));
    assert.equal(as.only().message.status, 481);
  });

  // conformance: 24.229 5.4.1.7, R23 — third-party registration tells what the handset can do
  test('third-party REGISTER: 200, and a callee without data channels is offered none', () => {
    const as = new AsHarness();
    const register = (contact: string, expires: number) => {
      const inner = `REGISTER sip:ims.example SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.20;branch=z9hG4bKr\r\nFrom: <sip:bob@ims.example>;tag=r\r\nTo: <sip:bob@ims.example>\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\nContact: ${contact}\r\nContent-Length: 0\r\n\r\n`;
      as.receive(
        `REGISTER sip:as@${AS} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.9:6060;branch=z9hG4bKt${expires}${contact.length}\r\nMax-Forwards: 70\r\nFrom: <sip:scscf@ims.example>;tag=s\r\nTo: <sip:bob@ims.example>\r\nCall-ID: t\r\nCSeq: 1 REGISTER\r\nContact: <sip:scscf@127.0.0.9:6060>\r\nExpires: ${expires}\r\nContent-Type: message/sip\r\nContent-Length: ${inner.length}\r\n\r\n${inner}`,
      );
      assert.equal(as.only().message.status, 200);
    };
    const supports = () => as.dispatcher.capabilities.supports('sip:bob@ims.example;user=phone', as.timers.nowMs());
    assert.equal(supports(), undefined);
    register('<sip:bob@198.51.100.20>;audio', 600);
    assert.equal(supports(), false);
    register('<sip:bob@198.51.100.20>;+sip.app-subtype="webrtc-datachannel"', 600);
    assert.equal(supports(), true);
    register('<sip:bob@198.51.100.20>', 0);
    assert.equal(supports(), undefined);
  });
});
