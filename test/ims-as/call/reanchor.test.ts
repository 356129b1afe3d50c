import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CallConfig } from '../../../src/ims-as/call/types.ts';
import { AsHarness, flow, MF_2, originate, relay, terminate } from '../as-harness.ts';
import {
  ANSWER_AUDIO,
  ANSWER_SESSION,
  APPLICATION,
  AUDIO,
  E1,
  media,
  SESSION,
  section,
  sections,
} from '../sdp-examples.ts';

const sectionAt = (sdp: string, slot: number): string => sections(sdp)[slot] ?? '';
const ANSWER = ANSWER_SESSION + ANSWER_AUDIO;
const HTTP_0 = ['0 subprotocol="http"'];
const HTTP_100 = ['100 subprotocol="http"'];
const RECEIVER = ['a=3gpp-bdc-used-by:receiver'];
const NEW_LINE: Partial<CallConfig> = { repair: { limitMs: 10_000, offer: 'newLine' } };

/** Alice's two bootstrap lines as she answers ours: `n` makes a new association of each. */
const alice = (n: number) =>
  SESSION +
  AUDIO +
  section(40010, 'passive', `alice-tls-id-0000${n}-m1`, HTTP_0) +
  section(40012, 'passive', `alice-tls-id-0000${n}-m2`, HTTP_100);
const bob = (n: number) =>
  ANSWER +
  section(42000, 'passive', `bob-tls-id-000000${n}-m2`, HTTP_100, ['a=3gpp-bdc-used-by:sender']) +
  section(42002, 'passive', `bob-tls-id-000000${n}-d1`, HTTP_100, RECEIVER);

/** An originating call with all three kinds of bootstrap lines, up and known to the MF. */
async function established(options: { config?: Partial<CallConfig>; headers?: string } = {}) {
  const as = new AsHarness(options.config === undefined ? {} : { config: options.config });
  const ok = await call(as, 'call-a', options.headers);
  return { as, ok };
}

async function call(as: AsHarness, callId: string, headers = '') {
  as.invite({ sdp: E1, callId, headers });
  const result = as.instruct({ ...terminate('m1', 0), ...relay('m2', 100), ...originate('d-1', 100, 'remote') });
  as.mfAnswers();
  await result;
  as.notified();
  as.respond(as.only().message, 200, { sdp: bob(1) });
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  as.mfAnswers();
  return ok;
}

const lose = (as: AsHarness) => {
  as.dispatcher.contextsLost(new Set(['ctx-1']), 'workerExit');
  as.timers.advance(20);
};
const posts = (as: AsHarness) => as.mrm.filter(({ operation }) => operation.method === 'POST').length;
const tlsIds = (sdp: string) => [...sdp.matchAll(/^a=tls-id:(.*)\r$/gm)].map((match) => match[1]);

describe('a lost MF', () => {
  // conformance: R25 — the context of a lost MF is made anew at another one, and each peer hears of it by re-INVITE
  // conformance: R12 — a new tls-id, fingerprint and address per line: exactly one new association
  test('another MF takes the lines over, and each peer gets one re-INVITE with new values in place', async () => {
    const { as } = await established();
    const before = as.context();
    lose(as);
    const [deletion, creation] = as.mrm.slice(-2).map(({ operation }) => operation);
    assert.deepEqual(deletion, { method: 'DELETE', mf: 'mf1', contextId: 'ctx-1' });
    assert.equal(creation?.method, 'POST');
    assert.deepEqual(as.take(), [], 'nobody is told before there is something to tell');

    // The same lines, with nothing of the associations that are gone.
    const entries = as.context().terminations.flatMap((t) => t.medias.map((m) => [t.terminationId, m] as const));
    assert.deepEqual(
      entries.map(([id, { mediaId }]) => `${id}/${mediaId}`),
      before.terminations.flatMap((t) => t.medias.map((m) => `${t.terminationId}/${m.mediaId}`)),
    );
    for (const [, entry] of entries) {
      assert.deepEqual(
        [entry.remoteMbEndpoint, entry.localMbEndpoint, entry.dcMedia?.remoteDcEndpoint],
        [undefined, undefined, undefined],
      );
    }
    assert.equal(entries[0]![1].dcMedia?.replaceHttpUrl?.['0']?.replaceHttpUrl, 'http://127.0.0.1:8090/bdc/v1/0/');

    as.mfAnswers(undefined, MF_2);
    const toAlice = as.only().message;
    assert.equal(toAlice.method, 'INVITE');
    assert.equal(toAlice.requestUri, 'sip:alice@192.0.2.10:5060');
    assert.deepEqual(
      media(toAlice.body).map((line) => line.split(' ')[0]),
      ['m=audio', 'm=application', 'm=application'],
    );
    const line = sectionAt(toAlice.body, 1);
    assert.match(line, /^c=IN IP4 198\.51\.100\.6\r$/m);
    assert.match(line, /^a=setup:actpass\r$/m);
    assert.match(line, /^a=dcmap:0 subprotocol="http"\r$/m);
    // R8: she was the sender of the offer, and is the receiver of this one.
    assert.match(sectionAt(toAlice.body, 2), /^a=3gpp-bdc-used-by:receiver\r$/m);
    as.respond(toAlice, 200, { sdp: alice(2) });
    const [ack, toBob] = as.take().map(({ message }) => message);
    assert.equal(ack?.method, 'ACK');
    assert.ok(toBob);
    assert.match(sectionAt(toBob.body, 2), /^c=IN IP4 198\.51\.100\.6\r$/m);
    assert.match(sectionAt(toBob.body, 2), /^a=3gpp-bdc-used-by:receiver\r$/m);
    as.mfAnswers(undefined, MF_2);
    as.respond(toBob, 200, { sdp: bob(2) });
    as.take();
    const told = as.lastPatch().map(({ path, value }) => [path.split('/').at(-1), value]);
    assert.ok(JSON.stringify(told).includes('bob-tls-id-0000002-d1'.slice(0, 12)));
    as.mfAnswers(undefined, MF_2);
    assert.equal(new Set(tlsIds(toAlice.body + toBob.body)).size, 4, 'each end is new');
    as.timers.advance(60_000);
    assert.deepEqual(as.take(), [], 'one re-INVITE each');
    assert.deepEqual([as.dispatcher.counts.reanchored, as.dispatcher.counts.givenUp], [1, 0]);
  });

  // conformance: R10 — e2e: only address and port change; the association between the UEs goes on
  test('datagram flows take another way: only c= and port change, both UEs stay known', async () => {
    const as = new AsHarness();
    as.invite({ sdp: SESSION + AUDIO + APPLICATION });
    const result = as.instruct(flow('m1', 1000, 1002));
    as.mfAnswers();
    await result;
    as.notified();
    const dcmaps = [
      '1000 label="local_10000005_1_draw"',
      '1002 label="local_10000005_1_pos";ordered=false;max-time=150',
    ];
    const answered = section(42000, 'passive', 'calleetlsidapp000000', dcmaps);
    as.respond(as.only().message, 200, { sdp: ANSWER + answered });
    const ok = as.only().message;
    as.inDialog('ACK', 'caller', ok, 7);
    as.take();
    as.mfAnswers();
    lose(as);
    const remotes = as.context().terminations.map((t) => t.medias[0]?.remoteMbEndpoint?.portNumber);
    assert.deepEqual(remotes, [40020, 42000]);
    as.mfAnswers(undefined, MF_2);
    const toAlice = as.only().message;
    const [was, is] = [sectionAt(ok.body, 1), sectionAt(toAlice.body, 1)];
    const moving = /^(m=|c=)/;
    const lines = (text: string) => text.split('\r\n').filter((line) => !moving.test(line));
    assert.deepEqual(lines(is), lines(was));
    assert.match(is, /^c=IN IP4 198\.51\.100\.6\r$/m);
  });

  test('none is there: tried again at the pace of all repairs, then port 0 on both legs; the voice goes on', async () => {
    const { as } = await established();
    lose(as);
    for (let attempts = 1; as.sent.length === 0; attempts++) {
      assert.equal(posts(as), attempts + 1);
      assert.ok(attempts < 20, 'it is given up some time');
      as.mfAnswers({ ok: false, status: 503, detail: 'no MF is left to ask' });
      as.timers.advance(1_020);
    }
    const toAlice = as.only().message;
    assert.deepEqual(media(toAlice.body), ['m=audio 40200', 'm=application 0', 'm=application 0']);
    as.respond(toAlice, 200, {
      sdp: SESSION + AUDIO + 'm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n'.repeat(2),
    });
    const toBob = as.take().at(-1)!.message;
    assert.deepEqual(media(toBob.body), ['m=audio 40000', 'm=application 0', 'm=application 0']);
    assert.deepEqual([as.dispatcher.counts.reanchored, as.dispatcher.counts.givenUp], [0, 1]);
    assert.equal(as.dispatcher.size, 1);
  });

  test('an MF that refuses the context is not asked twice', async () => {
    const { as } = await established();
    lose(as);
    as.mfAnswers({ ok: false, status: 400, detail: 'no such thing' });
    as.timers.advance(1_100);
    assert.equal(posts(as), 2);
    assert.deepEqual(media(as.only().message.body), ['m=audio 40200', 'm=application 0', 'm=application 0']);
  });

  test('a peer that refuses the new association: port 0 for its lines, on both legs', async () => {
    const { as } = await established();
    lose(as);
    as.mfAnswers(undefined, MF_2);
    as.respond(as.only().message, 488);
    const toBob = as.take().at(-1)!.message;
    // What is between Bob and the MF alone has moved.
    assert.deepEqual(media(toBob.body), ['m=audio 40000', 'm=application 0', 'm=application 50007']);
    const dead = 'm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n';
    as.respond(toBob, 200, {
      sdp: ANSWER + dead + section(42002, 'passive', 'bob-tls-id-0000002-d1', HTTP_100, RECEIVER),
    });
    const toAlice = as.take().at(-1)!.message;
    assert.deepEqual(media(toAlice.body), ['m=audio 40200', 'm=application 0', 'm=application 0']);
    as.respond(toAlice, 488);
    as.mfAnswers(undefined, MF_2);
    as.timers.advance(60_000);
    assert.deepEqual(as.take(), [], 'it is not told a third time');
  });

  test('a 491 is waited out, and the new values come again (RFC 3261 14.1)', async () => {
    const { as } = await established();
    lose(as);
    as.mfAnswers(undefined, MF_2);
    const first = as.only().message;
    as.respond(first, 491);
    as.take();
    as.timers.advance(2_100);
    const second = as.only().message;
    assert.deepEqual(tlsIds(second.body), tlsIds(first.body));
  });

  // conformance: R25 — repairs are paced, priority calls first
  test('calls follow one another, and a priority call does not wait', async () => {
    const { as } = await established();
    await call(as, 'call-b');
    await call(as, 'call-c', 'Resource-Priority: wps.0\r\n');
    const first = posts(as);
    lose(as);
    assert.equal(posts(as), first + 2, 'the first, and the one with priority');
    as.timers.advance(900);
    assert.equal(posts(as), first + 2);
    as.timers.advance(100);
    assert.equal(posts(as), first + 3);
  });

  test('lost again and again: after three repairs in five minutes the lines go', async () => {
    const { as } = await established();
    for (let n = 0; n < 3; n++) {
      as.dispatcher.contextsLost(new Set([n === 0 ? 'ctx-1' : 'ctx-2']), 'workerExit');
      as.timers.advance(1_020);
      as.mfAnswers(undefined, MF_2);
      as.respond(as.only().message, 200, { sdp: alice(n + 2) });
      as.mfAnswers(undefined, MF_2);
      as.respond(as.take().at(-1)!.message, 200, { sdp: bob(n + 2) });
      as.mfAnswers(undefined, MF_2);
      as.take();
    }
    as.dispatcher.contextsLost(new Set(['ctx-2']), 'workerExit');
    assert.deepEqual(media(as.only().message.body), ['m=audio 40200', 'm=application 0', 'm=application 0']);
  });

  test('a call that ends before its turn asks nobody', async () => {
    const { as, ok } = await established();
    as.dispatcher.contextsLost(new Set(['ctx-1']), 'workerExit');
    as.inDialog('BYE', 'caller', ok, 9);
    as.respond(as.take().find(({ kind }) => kind === 'request')!.message, 200);
    as.timers.advance(60_000);
    assert.equal(posts(as), 1);
    assert.equal(as.dispatcher.size, 0);
  });

  test('a call that ends while the other MF is asked gives its context back', async () => {
    const { as, ok } = await established();
    lose(as);
    as.inDialog('BYE', 'caller', ok, 9);
    as.respond(as.take().find(({ kind }) => kind === 'request')!.message, 200);
    assert.equal(as.dispatcher.size, 1);
    const post = as.mrm.findLast(({ operation }) => operation.method === 'POST')!;
    as.dispatcher.mrmReplied(post.call, post.id, {
      ok: true,
      value: { mf: 'mf2', context: { contextId: 'ctx-2', terminations: [] } },
    });
    assert.deepEqual(as.mrm.at(-1)?.operation, { method: 'DELETE', mf: 'mf2', contextId: 'ctx-2' });
    assert.equal(as.dispatcher.size, 0);
  });
});

describe('a lost MF and a negotiation', () => {
  test('a hold passes at once with the old values; the new ones follow', async () => {
    const { as, ok } = await established();
    as.dispatcher.contextsLost(new Set(['ctx-1']), 'workerExit');
    const held = E1.replace('3001 1 ', '3001 2 ').replace('a=x-unknown', 'a=sendonly\r\na=x-unknown');
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: held });
    const onward = as.only().message;
    assert.match(onward.body, /a=sendonly/);
    as.timers.advance(20);
    assert.equal(posts(as), 1, 'the slot is taken');
    as.respond(onward, 200, { sdp: bob(1) });
    const answer = as.only().message;
    assert.deepEqual(tlsIds(answer.body), tlsIds(ok.body));
    as.inDialog('ACK', 'caller', ok, 8);
    as.take();
    assert.equal(posts(as), 2, 'now it is free');
    as.mfAnswers(undefined, MF_2);
    assert.notDeepEqual(tlsIds(as.only().message.body), tlsIds(ok.body));
  });

  test('lost while an instruction waits for it: the other MF is asked for all of it, inside the barrier', async () => {
    const { as, ok } = await established();
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: E1.replace('3001 1 ', '3001 2 ') + APPLICATION });
    const result = as.instruct(terminate('m3', 1000));
    assert.equal(as.mrm.at(-1)?.operation.method, 'PATCH');
    as.dispatcher.contextsLost(new Set(['ctx-1']), 'workerExit');
    assert.equal(as.mrm.at(-1)?.operation.method, 'POST');
    assert.deepEqual(
      as
        .context()
        .terminations.find(({ terminationId }) => terminationId === 'served')
        ?.medias.map((m) => m.mediaId),
      ['m1', 'm2', 'm3'],
    );
    as.mfAnswers(undefined, MF_2);
    assert.ok((await result).ok);
    as.notified();
    const onward = as.only().message;
    assert.match(sectionAt(onward.body, 1), /198\.51\.100\.6/, 'Bob hears of his new ends with it');
    as.respond(onward, 200, { sdp: bob(2) });
    const answer = as.only().message;
    for (const slot of [1, 2, 3]) assert.match(sectionAt(answer.body, slot), /198\.51\.100\.6/);
    as.inDialog('ACK', 'caller', ok, 8);
    as.timers.advance(60_000);
    assert.deepEqual(
      as.take().filter(({ kind }) => kind === 'request'),
      [],
      'nobody has to be told again',
    );
  });

  test('the same, and Bob refuses the offer: what he does not know yet comes by itself', async () => {
    const { as, ok } = await established();
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: E1.replace('3001 1 ', '3001 2 ') + APPLICATION });
    const result = as.instruct(relay('m3', 1000, 1002));
    as.dispatcher.contextsLost(new Set(['ctx-1']), 'workerExit');
    as.mfAnswers(undefined, MF_2);
    await result;
    as.notified();
    as.respond(as.only().message, 488);
    const offers = as.take().filter(({ kind }) => kind === 'request');
    assert.equal(offers.length, 1);
    assert.match(sectionAt(offers[0]!.message.body, 1), /198\.51\.100\.6/);
  });

  test('an instruction after the loss asks the other MF at once, not at the turn of the call', async () => {
    const { as, ok } = await established();
    as.dispatcher.contextsLost(new Set(['ctx-1']), 'workerExit');
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: E1.replace('3001 1 ', '3001 2 ') + APPLICATION });
    const result = as.instruct(terminate('m3', 1000));
    assert.equal(posts(as), 2);
    as.mfAnswers({ ok: false, status: 503, detail: 'no MF is left to ask' });
    assert.ok(!(await result).ok);
    as.notified();
    assert.equal(as.only().message.status, 488, 'the new line is refused, the old ones stay as they are');
    as.inDialog('ACK', 'caller', ok, 8);
    as.timers.advance(2_020);
    assert.equal(posts(as), 3, 'its own turn still comes');
  });

  test('a free-standing instruction meets the loss: executed at the other MF', async () => {
    const { as } = await established();
    const result = as.instruct(originate('d-2', 1000, 'served'));
    as.dispatcher.contextsLost(new Set(['ctx-1']), 'workerExit');
    as.mfAnswers(undefined, MF_2);
    assert.ok((await result).ok);
    assert.equal(media(as.only().message.body).length, 4);
  });
});

describe('port 0 first, then a new line', () => {
  test('each leg hears of port 0, and then of the line with what it said before', async () => {
    const { as, ok } = await established({ config: NEW_LINE });
    lose(as);
    as.mfAnswers(undefined, MF_2);
    const withdrawal = as.only().message;
    assert.deepEqual(media(withdrawal.body), ['m=audio 40200', 'm=application 0', 'm=application 0']);
    as.respond(withdrawal, 200, {
      sdp: SESSION + AUDIO + 'm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n'.repeat(2),
    });
    const offer = as.take().at(-1)!.message;
    for (const slot of [1, 2]) {
      const content = (sdp: string) =>
        sectionAt(sdp, slot)
          .split('\r\n')
          .filter((line) => /^a=(dcmap|3gpp)/.test(line));
      assert.deepEqual(
        content(offer.body),
        content(ok.body).map((line) => line.replace('by:sender', 'by:receiver')),
      );
      assert.match(sectionAt(offer.body, slot), /198\.51\.100\.6/);
    }
    as.respond(offer, 200, { sdp: alice(2) });
    const toBob = as.take().at(-1)!.message;
    assert.deepEqual(media(toBob.body), ['m=audio 40000', 'm=application 0', 'm=application 0']);
    as.mfAnswers(undefined, MF_2);
    as.respond(toBob, 200, { sdp: ANSWER + 'm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n'.repeat(2) });
    const last = as.take().at(-1)!.message;
    assert.match(sectionAt(last.body, 1), /^a=dcmap:100 subprotocol="http"\r$/m);
    assert.match(sectionAt(last.body, 2), /^a=3gpp-bdc-used-by:receiver\r$/m);
    as.respond(last, 200, { sdp: bob(2) });
    as.take();
    as.timers.advance(60_000);
    assert.deepEqual(as.take(), []);
  });
});
