import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { restoredCall, storedText } from '../../../src/ims-as/call/stored.ts';
import type { CallConfig } from '../../../src/ims-as/call/types.ts';
import type { MediaInfo } from '../../../src/services/nmf-mrm.ts';
import { SIMULATED_CONFIG } from '../../simulator/as-node.ts';
import { AsHarness, MF_2, terminate } from '../as-harness.ts';
import {
  ANSWER_AUDIO,
  ANSWER_SESSION,
  APPLICATION,
  AUDIO,
  AUDIO_ONLY,
  LOCAL_BOOTSTRAP,
  MF_FINGERPRINT,
  media,
  SESSION,
} from '../sdp-examples.ts';

const ANSWER = ANSWER_SESSION + ANSWER_AUDIO;
const BOOTSTRAP = SESSION + AUDIO + LOCAL_BOOTSTRAP;
const DOWN_MS = 2_000;

/** What the one call of this AS would be written as. */
function stored(as: AsHarness, config: Partial<CallConfig> = {}): string | null | undefined {
  const [call] = as.dispatcher.calls();
  return call && storedText(call, { ...SIMULATED_CONFIG, ...config });
}

/** Another process: all that it has is the text. */
function restarted(
  before: AsHarness,
  config: { before?: Partial<CallConfig>; after?: Partial<CallConfig> } = {},
): AsHarness {
  const text = stored(before, config.before);
  assert.equal(typeof text, 'string', 'nothing was stored');
  const as = new AsHarness({ config: config.after ?? {} });
  as.timers.advance(before.timers.nowMs() - as.timers.nowMs() + DOWN_MS);
  const { id } = (JSON.parse(text!) as { call: { id: string } }).call;
  as.dispatcher.adopt(restoredCall(id, text!, as.timers.nowMs(), { ...SIMULATED_CONFIG, ...config.after }));
  as.dispatcher.resume(id);
  return as;
}

/** The OPTIONS by which a restored call asks both peers, answered. */
function audited(as: AsHarness, status = 200): void {
  const asked = as.take();
  assert.deepEqual(
    asked.map(({ message }) => message.method),
    ['OPTIONS', 'OPTIONS'],
  );
  for (const { message } of asked) as.respond(message, status);
}

function established(as: AsHarness, headers = '') {
  const invite = as.invite({ sdp: AUDIO_ONLY, headers });
  const onward = as.only().message;
  as.respond(onward, 200, { sdp: ANSWER, headers });
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  return { invite, onward, ok };
}

/** A call whose bootstrap line ends at our MF. */
async function withBootstrap(as: AsHarness) {
  as.invite({ sdp: BOOTSTRAP });
  const result = as.instruct(terminate('m1', 0));
  as.mfAnswers();
  await result;
  as.notified();
  const onward = as.only().message;
  as.respond(onward, 200, { sdp: ANSWER });
  const ok = as.take().find(({ kind }) => kind === 'response')!.message;
  as.mfAnswers();
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  return { onward, ok };
}

describe('a call goes on in another process', () => {
  // conformance: RFC 3261 12.2.1.1 — the CSeq of a restored dialog goes on behind a gap
  test('BYE from either side ends it on the other, and the MF lets go', async () => {
    for (const side of ['caller', 'callee'] as const) {
      const before = new AsHarness();
      const { onward, ok } = await withBootstrap(before);
      const as = restarted(before);
      audited(as);
      assert.deepEqual([as.take(), as.mrm], [[], []], 'nothing else is to be said when nothing has changed');
      as.inDialog('BYE', side, side === 'caller' ? ok : onward, 20);
      const [bye] = as.take();
      assert.equal(bye?.message.method, 'BYE');
      assert.ok(bye.message.cseq > onward.cseq + 50, `CSeq ${bye.message.cseq}`);
      assert.deepEqual(
        as.mrm.map(({ operation }) => operation),
        [{ method: 'DELETE', mf: 'mf1', contextId: 'ctx-1' }],
      );
      assert.deepEqual(as.events(), ['SESSION_TERMINATION']);
      assert.equal(stored(as), undefined, 'a call that ends is not stored any more');
      as.respond(bye.message, 200);
      assert.equal(as.only().message.status, 200);
      assert.equal(as.dispatcher.size, 0);
    }
  });

  // conformance: RFC 4028 10 — the session timer runs on over a restart
  test('the session timer is armed again, a refresh moves it, and without one the call ends', () => {
    const timer = 'Session-Expires: 90;refresher=uac\r\nRequire: timer\r\n';
    const before = new AsHarness();
    const { ok } = established(before, timer);
    before.timers.advance(60_000);
    const as = restarted(before);
    audited(as);
    as.timers.advance(20_000);
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: AUDIO_ONLY, headers: timer });
    const refresh = as.only().message;
    as.respond(refresh, 200, { sdp: ANSWER, headers: timer });
    const refreshed = as.only().message;
    assert.match(refreshed.first('session-expires') ?? '', /^90/);
    as.inDialog('ACK', 'caller', ok, 8);
    as.take();
    as.timers.advance(85_000);
    assert.deepEqual(as.take(), []);
    as.timers.advance(10_000);
    assert.deepEqual(
      as.take().map(({ message }) => message.method),
      ['BYE', 'BYE'],
    );
  });

  test('a session that ran out while nobody was there: the refresh may still be on its way', () => {
    const before = new AsHarness();
    established(before, 'Session-Expires: 90;refresher=uas\r\n');
    before.timers.advance(89_000);
    const as = restarted(before);
    audited(as);
    as.timers.advance(31_000);
    assert.deepEqual(as.take(), []);
    as.timers.advance(10_000);
    assert.equal(as.take().length, 2);
  });

  test('a re-INVITE adds an application channel: known lines keep their ids, new ones never repeat one', async () => {
    const before = new AsHarness();
    const { ok } = await withBootstrap(before);
    const as = restarted(before);
    audited(as);
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: BOOTSTRAP.replace('3001 1', '3001 2') + APPLICATION });
    const asked = Object.keys(as.lastNotification.notification.mediaInfoList ?? {});
    assert.deepEqual(asked.slice(0, 2), ['m0', 'm1']);
    const added = asked[2]!;
    assert.ok(Number(added.slice(1)) > 50, added);
    void as.instruct(terminate(added, 1000));
    // Computed from the call alone (R26): the MF has its termination, and gets one entry more.
    const patch = as.lastPatch();
    assert.ok(patch.some(({ op, value }) => op === 'test' && value === 'served'));
    assert.deepEqual(
      patch.filter(({ op }) => op !== 'test').map(({ op, path, value }) => [op, path, (value as MediaInfo).mediaId]),
      [['add', '/terminations/0/medias/-', added]],
    );
    const { value: info } = patch.find(({ op }) => op === 'add')!;
    const localDcEndpoint = { sctpPort: 5000, fingerprints: [MF_FINGERPRINT], tlsId: 'mfmfmfmfmfmfmfmfmf09' };
    const given = {
      ...(info as MediaInfo),
      localMbEndpoint: { ip: { ipv4Addr: '198.51.100.5' }, portNumber: 50_500 },
      dcMedia: { streams: {}, localDcEndpoint },
    };
    const terminations = [{ terminationId: 'served', medias: [given] }];
    as.mfAnswers({ ok: true, value: { mf: 'mf1', context: { contextId: 'ctx-1', terminations } } });
    as.notified();
    // The far peer does not change, so the AS answers by itself (R19).
    const answered = as.only().message;
    assert.deepEqual(media(answered.body), ['m=audio 40200', 'm=application 50000', 'm=application 50500']);
  });

  test('what is unchanged is said with the old version, what is not passes over one', async () => {
    const before = new AsHarness();
    const { ok } = await withBootstrap(before);
    const version = (body: string) => Number(/^o=\S+ \S+ (\d+) /m.exec(body)?.[1]);
    const as = restarted(before);
    audited(as);
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: BOOTSTRAP });
    const same = as.only().message;
    assert.equal(same.status, 200);
    assert.equal(same.body, ok.body, 'byte for byte');
    as.inDialog('ACK', 'caller', ok, 8);
    as.take();
    as.inDialog('INVITE', 'caller', ok, 9, { sdp: BOOTSTRAP.replace('3001 1', '3001 2').replace('AS:41', 'AS:42') });
    as.respond(as.only().message, 200, { sdp: ANSWER.replace('t=0 0', 'i=changed\r\nt=0 0') });
    const changed = as.take().find(({ kind }) => kind === 'response')!.message;
    assert.equal(version(changed.body), version(ok.body) + 2);
  });

  // conformance: R25 — the MF is told where its events go now
  test('another address for media events: the MF is patched once, with nothing else', async () => {
    const config = {
      before: { mediaEventUri: 'http://127.0.0.1:1/e' },
      after: { mediaEventUri: 'http://127.0.0.1:2/e' },
    };
    const before = new AsHarness({ config: config.before });
    await withBootstrap(before);
    const as = restarted(before, config);
    audited(as);
    const written = as.lastPatch().filter(({ op }) => op !== 'test');
    assert.deepEqual(
      written.map(({ op, path, value }) => [op, path, (value as { eventUri: string }).eventUri]),
      [['replace', '/terminations/0/medias/0/dcMedia/imsdc', 'http://127.0.0.1:2/e']],
    );
    as.mfAnswers({ ok: true, value: { mf: 'mf1' } });
    assert.equal(typeof stored(as, config.after), 'string');
    assert.deepEqual(as.take(), [], 'no peer hears of it');
  });

  test('a context that is gone: another MF is asked, and without one its lines go to port 0', async () => {
    const before = new AsHarness();
    await withBootstrap(before);
    const as = restarted(before);
    audited(as);
    as.dispatcher.contextLost('ctx-1', 'MF lost the context');
    as.timers.advance(50);
    assert.equal(as.mrm.at(-1)?.operation.method, 'POST');
    as.mfAnswers({ ok: false, status: 400, detail: 'no' });
    as.timers.advance(1_100);
    const offer = as.only().message;
    assert.equal(offer.method, 'INVITE');
    assert.match(offer.body, /m=application 0 /);
    assert.match(offer.body, /m=audio [1-9]/);
  });
});

describe('a call that ended while nobody was there', () => {
  // conformance: RFC 3261 11.2 — OPTIONS inside the dialog finds calls that the peers have ended
  test('a peer that answers 481 has it no more: BYE to both, and everything is given back', async () => {
    const before = new AsHarness();
    await withBootstrap(before);
    const as = restarted(before);
    const [first] = as.take();
    as.respond(first!.message, 481);
    assert.deepEqual(
      as.take().map(({ message }) => message.method),
      ['BYE', 'BYE'],
    );
    assert.equal(as.mrm.at(-1)!.operation.method, 'DELETE');
    assert.equal(stored(as), undefined);
  });

  test('a peer that refuses OPTIONS, or says nothing, keeps its call', async () => {
    for (const status of [405, 408, 501, 200]) {
      const before = new AsHarness();
      established(before);
      const as = restarted(before);
      audited(as, status);
      assert.deepEqual(as.take(), []);
      assert.equal(typeof stored(as), 'string');
    }
  });

  test('our own offer answered with 481 ends it too', async () => {
    const before = new AsHarness();
    await withBootstrap(before);
    const as = restarted(before);
    audited(as);
    as.dispatcher.contextLost('ctx-1', 'MF lost the context');
    as.timers.advance(50);
    as.mfAnswers(undefined, MF_2);
    as.respond(as.only().message, 481);
    assert.deepEqual(
      as.take().map(({ message }) => message.method),
      ['BYE', 'BYE'],
    );
  });
});

describe('what is stored', () => {
  test('nothing of a call that is between two states: what was stored before stays', async () => {
    const as = new AsHarness();
    const { onward } = await withBootstrap(as);
    assert.equal(typeof stored(as), 'string');
    as.inDialog('INVITE', 'callee', onward, 8, { sdp: `${ANSWER.replace(/(o=\S+ \S+) \d+/, '$1 99')}${APPLICATION}` });
    assert.equal(stored(as), null, 'held for the DCSF');
    as.notified();
    as.take();
    assert.equal(stored(as), null, 'offered to the other leg');
    as.dispatcher.release();
    assert.equal(stored(as), undefined);
  });

  test('INFO or MESSAGE under way is no reason to wait, and not kept', () => {
    const as = new AsHarness();
    const { ok } = established(as);
    as.inDialog('INFO', 'caller', ok, 8);
    assert.deepEqual((JSON.parse(stored(as)!) as { call: { exchanges: unknown[] } }).call.exchanges, []);
  });

  test('a record that cannot be used says why', () => {
    const as = new AsHarness();
    established(as);
    const text = stored(as)!;
    const { id } = (JSON.parse(text) as { call: { id: string } }).call;
    const refused = (wrong: string, name = id) => {
      try {
        restoredCall(name, wrong, 0, SIMULATED_CONFIG);
      } catch (error) {
        return (error as Error).message;
      }
      return 'taken';
    };
    assert.equal(refused(text), 'taken');
    assert.equal(refused('{'), `stored call ${id} cannot be used: not JSON`);
    assert.equal(refused('null'), `stored call ${id} cannot be used: schema undefined/undefined where 1/1 is read`);
    assert.equal(
      refused(text.replace('"schema":1', '"schema":2')),
      `stored call ${id} cannot be used: schema 2/1 where 1/1 is read`,
    );
    assert.equal(
      refused(text.replace('"forks":[', '"forks":[],"x":[')),
      `stored call ${id} cannot be used: members are missing`,
    );
    assert.equal(refused(text, 'other'), `stored call other cannot be used: it is the record of ${id}`);
  });
});

describe('what was under way when the process ended', () => {
  test('a call that rings: 500 to the caller, CANCEL to the callee, the context is deleted, the DCSF told', async () => {
    const before = new AsHarness();
    const invite = before.invite({ sdp: BOOTSTRAP });
    const result = before.instruct(terminate('m1', 0));
    before.mfAnswers();
    await result;
    before.notified();
    const onward = before.only().message;
    before.respond(onward, 180);
    before.take();
    const as = restarted(before);
    const [refusal, cancel] = as.take();
    assert.equal(refusal?.message.status, 500);
    assert.equal(refusal.message.via.branch, invite.via.branch);
    assert.equal(refusal.nextHop, 'sip:127.0.0.9:6060;transport=udp');
    assert.deepEqual(
      [
        cancel?.message.method,
        cancel?.message.via.branch,
        cancel?.message.cseq,
        cancel?.message.requestUri,
        cancel?.message.toTag,
      ],
      ['CANCEL', onward.via.branch, onward.cseq, onward.requestUri, ''],
    );
    assert.equal(cancel?.message.span('route'), onward.span('route'));
    assert.deepEqual(
      as.mrm.map(({ operation }) => operation),
      [{ method: 'DELETE', mf: 'mf1', contextId: 'ctx-1' }],
    );
    assert.deepEqual(as.events(), ['SESSION_ESTABLISHMENT_FAILURE']);
    // The answer crosses the CANCEL.
    as.respond(cancel!.message, 200);
    as.respond(onward, 200, { sdp: ANSWER, stray: true });
    assert.deepEqual(
      as.take().map(({ message }) => message.method),
      ['ACK', 'BYE'],
    );
    as.timers.advance(60_000);
    assert.equal(as.dispatcher.size, 0);
  });

  test('a call that the DCSF was being asked about: 500, and nobody is to be cancelled', () => {
    const before = new AsHarness();
    before.invite({ sdp: BOOTSTRAP });
    const as = restarted(before);
    assert.deepEqual(
      as.take().map(({ message }) => message.status),
      [500],
    );
    assert.equal(as.dispatcher.size, 0);
  });

  // conformance: RFC 3261 13.3.1.4 — the 2xx of a re-INVITE whose sender was restarted has its ACK
  test('the 2xx of a re-INVITE that nobody remembers is acknowledged, or its sender would end the call', () => {
    const before = new AsHarness();
    const { ok } = established(before);
    const text = stored(before);
    before.inDialog('INVITE', 'caller', ok, 8, { sdp: AUDIO_ONLY.replace('3001 1', '3001 2') });
    const lost = before.only().message;
    assert.equal(stored(before), null);
    const as = new AsHarness();
    const [call] = before.dispatcher.calls();
    as.dispatcher.adopt(restoredCall(call!.id, text!, as.timers.nowMs(), SIMULATED_CONFIG));
    for (let i = 0; i < 2; i++) as.respond(lost, 200, { sdp: ANSWER, stray: true });
    const [first, second] = as.take();
    assert.deepEqual([first?.message.method, first?.message.cseq], ['ACK', lost.cseq]);
    assert.equal(second?.wire, first?.wire);
  });
});
