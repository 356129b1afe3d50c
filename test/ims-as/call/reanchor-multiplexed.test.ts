import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CallConfig } from '../../../src/ims-as/call/types.ts';
import type { SipMessage } from '../../../src/sip/types.ts';
import { type AsHarness, MF_2 } from '../as-harness.ts';
import { APP, BOB, connected, Mf, offer, PEER_LINE, TO_PEER } from '../multiplexed-call.ts';
import { media, section, sections } from '../sdp-examples.ts';

/** The call goes on at a second MF from here; its ports begin at 51000. */
function lose(as: AsHarness): Mf {
  const mf = new Mf(as, MF_2, 51_000);
  as.dispatcher.contextsLost(new Set(['ctx-1']), 'workerExit');
  as.timers.advance(20);
  return mf;
}

const line = (message: SipMessage, slot = 1): string => sections(message.body)[slot] ?? '';
const ids = (message: SipMessage) => line(message).match(/(?<=a=dcmap:)\d+/g);
const tlsId = (message: SipMessage) => /^a=tls-id:(.*)\r$/m.exec(line(message))?.[1];

/** Alice's answer to our offer: her one line, with a new association. */
const again = (streams: readonly number[], version: number) =>
  offer(streams, version)
    .replace('actpass', 'passive')
    .replace('alicemultiplexed0001', `alicemultiplexed000${version}`);
/** Bob's, to the line of his own. */
const bobAgain = BOB(2, PEER_LINE.replace('bobapplication000001', 'bobapplication000002'));

describe('a lost MF and a multiplexed line', () => {
  // conformance: R25 — a multiplexed association is made anew as one, with all its far ends
  test('one new association for all parts, and one for the line of the peer', async () => {
    const { as, ok } = await connected();
    const mf = lose(as);
    mf.answer();
    // R3: one association, named once the MF has given it an address.
    assert.deepEqual(mf.entries.toSorted(), [
      'remote: d-peer 1000+1002@51001',
      'served: d-peer 1000+1002@51000',
      'served: d-server 1010@51000',
      'served: m1 0@51000',
    ]);
    const toAlice = as.only().message;
    assert.deepEqual(media(toAlice.body), ['m=audio 40200', 'm=application 51000']);
    assert.deepEqual(ids(toAlice), ['0', '1000', '1002', '1010']);
    assert.notEqual(tlsId(toAlice), tlsId(ok));
    as.respond(toAlice, 200, { sdp: again([0, 1000, 1002, 1010], 2) });
    mf.answer();
    const toBob = as.take().at(-1)!.message;
    assert.deepEqual(media(toBob.body), ['m=audio 40000', 'm=application 51001']);
    assert.deepEqual(ids(toBob), ['1000', '1002']);
    assert.ok(line(toBob).includes(TO_PEER));
    as.respond(toBob, 200, { sdp: bobAgain });
    mf.answer();
    as.take();
    const remotes = mf.context.terminations.flatMap(({ terminationId, medias }) =>
      medias.map(({ dcMedia, mediaId }) => [terminationId, mediaId, dcMedia?.remoteDcEndpoint?.tlsId]),
    );
    assert.deepEqual(remotes.toSorted(), [
      ['remote', 'd-peer', 'bobapplication000002'],
      ['served', 'd-peer', 'alicemultiplexed0002'],
      ['served', 'd-server', 'alicemultiplexed0002'],
      ['served', 'm1', 'alicemultiplexed0002'],
    ]);
    as.timers.advance(60_000);
    assert.deepEqual([as.take(), as.dispatcher.counts.reanchored, as.dispatcher.counts.givenUp], [[], 1, 0]);
  });

  test('what the line carried first had gone before: the parts that live on are made anew', async () => {
    const { as, mf: first, ok } = await connected();
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: offer([1000, 1002, 1010], 2) });
    first.answer();
    as.take();
    as.inDialog('ACK', 'caller', ok, 8);
    as.take();
    const mf = lose(as);
    mf.answer();
    assert.deepEqual(mf.entries.toSorted(), [
      'remote: d-peer 1000+1002@51001',
      'served: d-peer 1000+1002@51000',
      'served: d-server 1010@51000',
    ]);
    const toAlice = as.only().message;
    assert.deepEqual(media(toAlice.body), ['m=audio 40200', 'm=application 51000']);
    assert.deepEqual(ids(toAlice), ['1000', '1002', '1010']);
  });

  test('no MF is left: port 0 on both legs, with everything that was on the line', async () => {
    const { as } = await connected();
    lose(as);
    for (let attempts = 0; as.sent.length === 0; attempts++) {
      assert.ok(attempts < 20, 'it is given up some time');
      as.mfAnswers({ ok: false, status: 503, detail: 'no MF is left to ask' });
      as.timers.advance(1_020);
    }
    const toAlice = as.only().message;
    assert.deepEqual(media(toAlice.body), ['m=audio 40200', 'm=application 0']);
    as.respond(toAlice, 200, { sdp: again([], 2).replace(/m=application \d+/, 'm=application 0') });
    const toBob = as.take().at(-1)!.message;
    assert.deepEqual(media(toBob.body), ['m=audio 40000', 'm=application 0']);
    as.timers.advance(60_000);
    assert.equal(as.dispatcher.size, 1);
  });

  test('the peer takes one channel of two on the new association: the other one is over, the rest goes on', async () => {
    const { as } = await connected();
    const mf = lose(as);
    mf.answer();
    as.respond(as.only().message, 200, { sdp: again([0, 1000, 1002, 1010], 2) });
    mf.answer();
    const toBob = as.take().at(-1)!.message;
    as.respond(toBob, 200, { sdp: BOB(2, section(42000, 'passive', 'bobapplication000002', [APP(1002)], [TO_PEER])) });
    mf.answer();
    const toAlice = as.take().findLast(({ kind }) => kind === 'request')!.message;
    assert.deepEqual(ids(toAlice), ['0', '1002', '1010']);
    assert.ok(mf.entries.includes('served: d-peer 1002@51000'));
  });

  test('Alice refuses the new association: all that it carried is over, on both legs', async () => {
    const { as } = await connected();
    const mf = lose(as);
    mf.answer();
    as.respond(as.only().message, 488);
    mf.answer();
    const toBob = as.take().findLast(({ kind }) => kind === 'request')!.message;
    assert.deepEqual(media(toBob.body), ['m=audio 40000', 'm=application 0']);
    as.respond(toBob, 200, { sdp: BOB(2, section(0, 'passive', 'bobapplication000002', [])) });
    const toAlice = as.take().findLast(({ kind }) => kind === 'request')!.message;
    assert.deepEqual(media(toAlice.body), ['m=audio 40200', 'm=application 0']);
  });

  // Several peers say what is on it, so it cannot be taken out and brought back as one of theirs.
  test('with newLine a multiplexed line changes in place, and that of the peer goes out and comes back', async () => {
    const config: Partial<CallConfig> = { repair: { limitMs: 10_000, offer: 'newLine' } };
    const { as } = await connected(config);
    const mf = lose(as);
    mf.answer();
    const toAlice = as.only().message;
    assert.deepEqual(media(toAlice.body), ['m=audio 40200', 'm=application 51000']);
    as.respond(toAlice, 200, { sdp: again([0, 1000, 1002, 1010], 2) });
    mf.answer();
    const withdrawn = as.take().at(-1)!.message;
    assert.deepEqual(media(withdrawn.body), ['m=audio 40000', 'm=application 0']);
    as.respond(withdrawn, 200, { sdp: BOB(2, section(0, 'passive', 'bobapplication000002', [])) });
    const back = as.take().at(-1)!.message;
    assert.deepEqual(media(back.body), ['m=audio 40000', 'm=application 51001']);
    assert.deepEqual(ids(back), ['1000', '1002']);
  });
});
