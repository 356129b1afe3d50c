import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { anchoredLegs, applicationOf, modeOf, openChannels } from '../../../src/ims-as/records/open-channels.ts';
import type { MediaInstruction } from '../../../src/services/nimsas.ts';
import type { SipMessage } from '../../../src/sip/types.ts';
import { AsHarness, relay, remove, terminate } from '../as-harness.ts';
import {
  APP,
  BOB,
  connected,
  HTTP,
  invited,
  Mf,
  offer,
  PEER_LINE,
  part,
  REFUSED,
  TAG,
  TO_PEER,
  TO_SERVER,
  type World,
} from '../multiplexed-call.ts';
import { media, section, sections } from '../sdp-examples.ts';

/** A re-INVITE of Alice that asks the DCSF; it says this. Returns what went on to Bob, or back to Alice. */
async function reinvited(
  { as, mf, ok }: World & { ok: SipMessage },
  sdp: string,
  set: Record<string, MediaInstruction>,
) {
  as.inDialog('INVITE', 'caller', ok, 8, { sdp });
  const done = as.instruct(set);
  const asked = as.mrm.length;
  if (as.mrm.at(-1)?.operation.method !== 'DELETE') mf.answer();
  const outcome = await done;
  assert.ok(outcome.ok, JSON.stringify(outcome));
  assert.ok(asked > 0);
  as.notified();
  return as.only().message;
}

describe('multiplexing: one association, several far ends', () => {
  // conformance: 26.114 6.2.10.1 (g.3gpp.dc-mux) — announced both ways, hop by hop
  test('the tag is told to the DCSF, said back to the UE, and not passed on', async () => {
    const { as, onward } = await invited();
    assert.equal(as.notifications[0]!.notification.sessionInfo?.offererMultiplexes, true);
    assert.ok(!onward.span('contact').includes('dc-mux'), onward.span('contact'));
    assert.ok(onward.span('contact').includes('webrtc-datachannel'), 'the other parameters pass (R21)');
    as.respond(onward, 200, { sdp: BOB(1, PEER_LINE) });
    assert.ok(as.only().message.span('contact').includes(`;${TAG}`));
  });

  test('switched off: neither told nor said', async () => {
    const as = new AsHarness({ config: { multiplexing: false } });
    as.invite({ sdp: offer([0, 1000]), contact: `;${TAG}` });
    assert.equal(as.lastNotification.notification.sessionInfo?.offererMultiplexes, undefined);
    as.notified();
    const onward = as.only().message;
    assert.ok(!onward.span('contact').includes('dc-mux'));
    as.respond(onward, 200, { sdp: BOB(1) });
    assert.ok(!as.only().message.span('contact').includes('dc-mux'));
  });

  // conformance: R3 — streams of one association with different far ends: one media entry each, one localMbEndpoint
  test('three entries on one port; the peer sees a line of its own, Alice one line with everything', async () => {
    const { as, mf, onward } = await invited();
    assert.deepEqual(mf.entries, [
      'served: m1 0@50000',
      'served: d-peer 1000+1002@50000',
      'served: d-server 1010@50000',
      'remote: d-peer 1000+1002@50001',
    ]);
    assert.equal(as.mrm.filter(({ operation }) => operation.method === 'POST').length, 1);
    assert.deepEqual(media(onward.body), ['m=audio 40000', 'm=application 50001']);
    const there = sections(onward.body)[1]!;
    assert.deepEqual(
      there.match(/^a=(?:dcmap|3gpp-\S+?|mid):?.*$/gm)?.map((text) => text.trim()),
      [`a=dcmap:${APP(1000)}`, `a=dcmap:${APP(1002)}`, TO_PEER],
    );
    assert.ok(!there.includes('alicemultiplexed0001'));

    as.respond(onward, 200, { sdp: BOB(1, PEER_LINE) });
    mf.answer();
    const answer = as.only().message.body;
    assert.deepEqual(media(answer), ['m=audio 40200', 'm=application 50000']);
    for (const text of [HTTP(0), APP(1000), APP(1002), APP(1010)]) {
      assert.ok(answer.includes(`a=dcmap:${text}\r\n`), text);
    }
    assert.ok(answer.includes(TO_PEER) && answer.includes(TO_SERVER), 'the bindings are repeated');
    assert.match(answer, /a=max-message-size:2048\r\n/, 'R11: what the relayed far end takes');
    const { medias } = mf.context.terminations[0]!;
    const remotes = medias.map(({ remoteMbEndpoint }) => remoteMbEndpoint?.portNumber);
    assert.deepEqual(remotes, [40010, 40010, 40010]);
    assert.ok(medias.every(({ dcMedia }) => dcMedia?.imsdc?.multiplexing === true));
  });

  // conformance: R31 — a record per channel, of each part by what it is
  test('each channel has its record, with the mode and the application of its part', async () => {
    const { as } = await connected();
    const [call] = [...as.dispatcher.calls()];
    const open = [...openChannels(call!).values()];
    assert.deepEqual(
      open.map((channel) => [channel.streamId, modeOf(channel.line, channel.streamId), applicationOf(call!, channel)]),
      [
        [0, 'bootstrap', null],
        [1000, 'P2P', '10000005'],
        [1002, 'P2P', '10000005'],
        [1010, 'P2A', '10000006'],
      ],
    );
    assert.deepEqual(anchoredLegs(call!, open[3]!.line), ['served']);
    assert.deepEqual(anchoredLegs(call!, open[1]!.line), ['served', 'remote']);
  });

  test('the peer refuses its line: the other streams go on', async () => {
    const { as, mf, onward } = await invited();
    as.respond(onward, 200, { sdp: BOB(1, REFUSED) });
    mf.answer();
    const answer = sections(as.only().message.body)[1]!;
    assert.deepEqual(answer.match(/(?<=a=dcmap:)\d+/g), ['0', '1010']);
    assert.deepEqual(mf.entries, ['served: m1 0@50000', 'served: d-server 1010@50000']);
    assert.deepEqual(as.events().slice(-2), ['MEDIA_CHANGE_FAILURE', 'SESSION_ESTABLISHMENT_SUCCESS']);
  });

  test('the peer takes one channel of two', async () => {
    const { as, mf, onward } = await invited();
    const one = section(42000, 'passive', 'bobapplication000001', [APP(1002)], [TO_PEER]);
    as.respond(onward, 200, { sdp: BOB(1, one) });
    mf.answer();
    assert.deepEqual(sections(as.only().message.body)[1]!.match(/(?<=a=dcmap:)\d+/g), ['0', '1002', '1010']);
    assert.ok(mf.entries.includes('served: d-peer 1002@50000'));
  });

  // conformance: 23.228 Annex AC (multiplexing) — single streams are removed without disturbing the others
  test('a stream left out: its far end goes, nobody is asked, the association stays', async () => {
    const world = await connected();
    const { as, mf, ok } = world;
    const asked = as.notifications.length;
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: offer([0, 1000, 1002], 2) });
    mf.answer();
    assert.equal(as.events().slice(asked).includes('MEDIA_CHANGE_REQUEST'), false);
    const [answer] = as.take();
    assert.equal(answer!.message.status, 200, 'Bob hears nothing of it (R19)');
    assert.deepEqual(sections(answer!.message.body)[1]!.match(/(?<=a=dcmap:)\d+/g), ['0', '1000', '1002']);
    assert.match(answer!.message.body, /a=tls-id:mf50000/);
    assert.deepEqual(mf.entries, [
      'served: m1 0@50000',
      'served: d-peer 1000+1002@50000',
      'remote: d-peer 1000+1002@50001',
    ]);
  });

  test('the streams of the peer left out: port 0 to Bob, the rest goes on; and they come again', async () => {
    const world = await connected();
    const { as, mf, ok } = world;
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: offer([0, 1010], 2) });
    const onward = as.only().message;
    assert.deepEqual(media(onward.body), ['m=audio 40000', 'm=application 0']);
    as.respond(onward, 200, { sdp: BOB(2, REFUSED) });
    mf.answer();
    const answer = as.take().find(({ kind }) => kind === 'response')!.message;
    assert.deepEqual(sections(answer.body)[1]!.match(/(?<=a=dcmap:)\d+/g), ['0', '1010']);
    assert.deepEqual(mf.entries, ['served: m1 0@50000', 'served: d-server 1010@50000']);
    as.inDialog('ACK', 'caller', ok, 8);
    as.take();

    as.inDialog('INVITE', 'caller', ok, 9, { sdp: offer([0, 1000, 1010], 3) });
    const streams = as.lastNotification.notification.mediaInfoList?.m1?.dcMediaSpecification?.streams ?? {};
    assert.deepEqual(Object.keys(streams), ['0', '1000', '1010'], 'all that the line carries now');
    const done = as.instruct(part('d-again', 'relay', 1000));
    mf.answer();
    assert.ok((await done).ok);
    as.notified();
    const again = as.only().message;
    assert.deepEqual(media(again.body), ['m=audio 40000', 'm=application 50002'], 'the free slot, a port of its own');
    assert.deepEqual(mf.entries, [
      'served: m1 0@50000',
      'served: d-server 1010@50000',
      'served: d-again 1000@50000',
      'remote: d-again 1000@50002',
    ]);
  });

  test("what the line carried first may go, and the others live on under the line's port", async () => {
    const { as, mf, ok } = await connected();
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: offer([1000, 1002, 1010], 2) });
    mf.answer();
    const answer = as.take().find(({ kind }) => kind === 'response')!.message;
    assert.deepEqual(media(answer.body), ['m=audio 40200', 'm=application 50000']);
    assert.deepEqual(sections(answer.body)[1]!.match(/(?<=a=dcmap:)\d+/g), ['1000', '1002', '1010']);
    assert.deepEqual(mf.entries, [
      'served: d-peer 1000+1002@50000',
      'served: d-server 1010@50000',
      'remote: d-peer 1000+1002@50001',
    ]);
  });

  test('a far end joins a live line; refused by the DCSF it does not, and the line stays', async () => {
    const as = new AsHarness();
    const mf = new Mf(as);
    as.invite({ sdp: offer([0]), contact: `;${TAG}` });
    const done = as.instruct(terminate('m1', 0));
    mf.answer();
    assert.ok((await done).ok);
    as.notified();
    as.respond(as.only().message, 200, { sdp: BOB(1) });
    mf.answer();
    const ok = as.only().message;
    as.inDialog('ACK', 'caller', ok, 7);
    as.take();
    const onward = await reinvited({ as, mf, ok }, offer([0, 1000], 2), part('d-peer', 'relay', 1000));
    assert.deepEqual(media(onward.body), ['m=audio 40000', 'm=application 50001']);
    as.respond(onward, 200, { sdp: BOB(2, section(42000, 'passive', 'bobapplication000001', [APP(1000)])) });
    mf.answer();
    const answer = as.take().find(({ kind }) => kind === 'response')!.message;
    assert.match(answer.body, /m=application 50000 [\s\S]*a=tls-id:mf50000[\s\S]*a=dcmap:0 [\s\S]*a=dcmap:1000 /);
    as.inDialog('ACK', 'caller', ok, 8);
    as.take();

    as.inDialog('INVITE', 'caller', ok, 9, { sdp: offer([0, 1000, 1010], 3) });
    as.notified({ ok: false, status: 500, detail: 'a decision that failed' });
    mf.answer();
    const kept = as.take().find(({ kind }) => kind === 'response')!.message;
    assert.deepEqual(sections(kept.body)[1]!.match(/(?<=a=dcmap:)\d+/g), ['0', '1000']);
  });

  // conformance: 29.175 MediaInstruction — DELETE_MEDIA of one part: its channels only
  test('the DC AS ends its part: the line is offered again without it', async () => {
    const { as, mf } = await connected();
    const result = await as.instruct(remove('d-server'));
    assert.ok(result.ok);
    const offered = as.only().message;
    assert.deepEqual(media(offered.body), ['m=audio 40200', 'm=application 50000']);
    assert.deepEqual(sections(offered.body)[1]!.match(/(?<=a=dcmap:)\d+/g), ['0', '1000', '1002']);
    as.respond(offered, 200, { sdp: offer([0, 1000, 1002], 2).replace('actpass', 'passive') });
    mf.answer();
    assert.ok(!mf.entries.some((entry) => entry.includes('d-server')));
    assert.ok(mf.entries.includes('served: m1 0@50000'));
  });

  // conformance: R12 — a new tls-id renews the one association, whatever it carries
  test('a new tls-id: one new association for all parts', async () => {
    const { as, mf, ok } = await connected();
    const renewed = offer([0, 1000, 1002, 1010], 2).replace('alicemultiplexed0001', 'alicemultiplexed0002');
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: renewed });
    const patch = as.lastPatch().filter(({ path, op }) => op === 'replace' && path.endsWith('remoteDcEndpoint'));
    assert.equal(patch.length, 3, 'each entry hears of it');
    for (const entry of mf.context.terminations[0]!.medias) {
      delete entry.localMbEndpoint;
      entry.localMbEndpoint = { ip: { ipv4Addr: '198.51.100.5' }, transport: 'UDP', portNumber: 50_009 };
      entry.dcMedia!.localDcEndpoint!.tlsId = 'mf50009renewed000000';
    }
    mf.answer();
    const answer = as.take().find(({ kind }) => kind === 'response')!.message;
    assert.match(answer.body, /m=application 50009 [\s\S]*a=tls-id:mf50009renewed000000/);
  });

  test('the callee is known to have no data channels: what ends at the MF is answered alone', async () => {
    const { as, mf, onward } = await invited();
    as.respond(onward, 488);
    const [retried] = as.take();
    assert.deepEqual(media(retried!.message.body), ['m=audio 40000']);
    mf.answer();
    as.respond(retried!.message, 200, { sdp: BOB(1), tag: 'bob2' });
    mf.answer();
    const answer = as.take().find(({ kind }) => kind === 'response')!.message;
    assert.deepEqual(sections(answer.body)[1]!.match(/(?<=a=dcmap:)\d+/g), ['0', '1010']);
  });

  test('bad divisions get a precise 400 and change nothing', async () => {
    const as = new AsHarness();
    as.invite({ sdp: offer([0, 1000]), contact: `;${TAG}` });
    const cases: [Record<string, MediaInstruction>, RegExp][] = [
      [{ ...part('d-1', 'relay', 1000) }, /imsdcCarriedBy is no line that ends at the MF/],
      [{ ...terminate('m1', 0), ...part('m7', 'relay', 1000) }, /use d-<uuid>/],
      [{ ...terminate('m1', 0), ...part('d-1', 'relay', 0) }, /none of the undecided streams/],
      [{ ...terminate('m1', 0), ...part('d-1', 'relay', 1010) }, /none of the undecided streams/],
      [
        { ...terminate('m1', 0), 'd-1': { ...part('d-1', 'relay', 1000)['d-1']!, mediaInstruction: 'UPDATE_MEDIA' } },
        /ends at the MF or goes through it/,
      ],
      [
        {
          ...terminate('m1', 0),
          'd-1': {
            ...relay('d-1', 1000)['d-1']!,
            dcMediaSpecification: {
              mediaProxyConfig: 'UDP_PROXY',
              streams: { '1000': { streamId: 1000 } },
              imsdcCarriedBy: 'm1',
            },
          },
        },
        /cannot carry single streams/,
      ],
    ];
    for (const [set, expected] of cases) {
      const result = await as.instruct(set);
      assert.ok(!result.ok && expected.test(result.problem.detail ?? ''), JSON.stringify(result));
    }
    assert.equal(as.mrm.length, 0);
  });
});
