import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AsHarness, flow, originate, pass, reject, relay, remove, terminate } from '../as-harness.ts';
import {
  ANSWER_AUDIO,
  ANSWER_SESSION,
  APPLICATION,
  AUDIO,
  MF_FINGERPRINT,
  media,
  SESSION,
  section,
  sections,
  UE_FINGERPRINT,
} from '../sdp-examples.ts';

const STREAMS = ['1000 label="local_10000005_1_draw"', '1002 label="local_10000005_1_pos";ordered=false;max-time=150'];
const REQ_APP = 'a=3gpp-req-app:10000005;adc-stream-id-endpoint=1000-UE,1002-UE';
const ANSWERED = section(42000, 'passive', 'calleetlsidapp000000', STREAMS, [REQ_APP]);
const ANSWER = ANSWER_SESSION + ANSWER_AUDIO + ANSWERED;

/** A call whose INVITE brings an application line, decided as `instruct` says, up to the onward INVITE. */
async function offered(as: AsHarness, instructions: Parameters<AsHarness['instruct']>[0]) {
  as.invite({ sdp: SESSION + AUDIO + APPLICATION });
  const result = as.instruct(instructions);
  if (as.mrm.length > 0) as.mfAnswers();
  assert.ok((await result).ok);
  as.notified();
  return as.only().message;
}

describe('application channels', () => {
  // conformance: 23.228 AC.7.2.1 — not anchored: the line travels untouched, both ways
  test('not anchored: the line passes byte for byte both ways, the MF knows nothing', async () => {
    const as = new AsHarness();
    const onward = await offered(as, pass('m1'));
    assert.equal(sections(onward.body)[1], APPLICATION);
    as.respond(onward, 200, { sdp: ANSWER });
    assert.equal(sections(as.only().message.body)[1], ANSWERED);
    assert.equal(as.mrm.length, 0);
  });

  // conformance: R3 — e2DCe: DTLS ends at the MF on both legs
  test('e2DCe: both legs see the MF, everything else of the line passes', async () => {
    const as = new AsHarness();
    const onward = await offered(as, relay('m1', 1000, 1002));
    const line = sections(onward.body)[1] ?? '';
    assert.match(line, /^m=application 50001 [\s\S]*c=IN IP4 198\.51\.100\.5/);
    assert.ok(line.includes(MF_FINGERPRINT) && !line.includes(UE_FINGERPRINT));
    for (const kept of [
      `a=dcmap:${STREAMS[0]}`,
      `a=dcmap:${STREAMS[1]}`,
      REQ_APP,
      'a=3gpp-qos-hint:loss=0.01;latency=100',
      'b=AS:1000',
    ]) {
      assert.ok(line.includes(`${kept}\r\n`), kept);
    }
    as.respond(onward, 200, { sdp: ANSWER });
    const answer = sections(as.only().message.body)[1] ?? '';
    assert.match(answer, /^m=application 50000 [\s\S]*a=setup:active/);
    assert.ok(answer.includes(REQ_APP) && answer.includes(MF_FINGERPRINT));
    const { terminations } = as.context();
    assert.deepEqual(
      terminations.map((t) => t.medias.map((m) => `${m.mediaId} ${m.dcMedia?.mediaProxyConfig}`)),
      [['m1 DC_APPLICATION_PROXY'], ['m1 DC_APPLICATION_PROXY']],
    );
    assert.equal(terminations[0]!.medias[0]!.dcMedia?.streams['1002']?.maxTime, 150);
    assert.equal(terminations[0]!.medias[0]!.dcMedia?.streams['1002']?.order, false);
  });

  // conformance: R10, R3 — e2e: only c=, port and ICE change; the MF is told no association
  test('e2e: only address and port change, both ways', async () => {
    const as = new AsHarness();
    const onward = await offered(as, flow('m1', 1000, 1002));
    const moved = (text: string, port: number) =>
      text.replace(/m=application \d+/, `m=application ${port}`).replace(/c=IN IP4 \S+/, 'c=IN IP4 198.51.100.5');
    assert.equal(sections(onward.body)[1], moved(APPLICATION.replace('b=AS:1000', 'c=IN IP4 x\r\nb=AS:1000'), 50001));
    as.respond(onward, 200, { sdp: ANSWER });
    assert.equal(sections(as.only().message.body)[1], moved(ANSWERED, 50000));
    const [served, remote] = as.context().terminations.map((t) => t.medias[0]!);
    assert.deepEqual(
      [served!.dcMedia?.mediaProxyConfig, served!.dcMedia?.remoteDcEndpoint, remote!.dcMedia?.remoteDcEndpoint],
      ['UDP_PROXY', undefined, undefined],
    );
    const addresses = as
      .lastPatch()
      .filter(({ path }) => path.endsWith('remoteMbEndpoint'))
      .map(({ value }) => (value as { portNumber: number }).portNumber);
    assert.deepEqual(addresses, [40020, 42000]);
  });

  // conformance: 23.228 AC.7.2.2 — P2A: the line ends here and does not travel
  test('P2A: answered by the MF, unknown to the callee', async () => {
    const as = new AsHarness();
    const set = terminate('m1', 1000);
    set.m1!.dcMediaSpecification = {
      mediaProxyConfig: 'DC_APPLICATION_PROXY',
      mdc2EndpointDcAs: { ip: { ipv4Addr: '127.0.0.1' }, transport: 'TCP', portNumber: 9000 },
      mdc2Protocol: 'TCP/TLS',
      imsdcMdc2: { url: 'wss://dc-as.example/channels', ticket: 'abc' },
      streams: { '1000': { streamId: 1000 } },
    };
    const onward = await offered(as, set);
    assert.deepEqual(media(onward.body), ['m=audio 40000']);
    const { dcMedia } = as.context().terminations[0]!.medias[0]!;
    assert.equal(dcMedia?.remoteMdc2Endpoint?.portNumber, 9000);
    assert.equal(dcMedia?.mdc2Protocol, 'TCP/TLS');
    assert.deepEqual(dcMedia?.imsdc?.mdc2, { url: 'wss://dc-as.example/channels', ticket: 'abc' });
    as.respond(onward, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO });
    const answer = sections(as.only().message.body)[1] ?? '';
    assert.ok(answer.includes('a=dcmap:1000 ') && !answer.includes('a=dcmap:1002 '));
    assert.ok(answer.includes(REQ_APP), 'the answerer repeats the binding');
  });

  // conformance: R8 — slots never move; a line that ended leaves a gap at port 0
  test('a removed line leaves port 0, a new one goes behind it or into the gap', async () => {
    const as = new AsHarness();
    const onward = await offered(as, pass('m1'));
    as.respond(onward, 200, { sdp: ANSWER });
    const ok = as.only().message;
    as.inDialog('ACK', 'caller', ok, 7);
    as.take();
    const gone = APPLICATION.replace('m=application 40020', 'm=application 0');
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: SESSION.replace('3001 1', '3001 2') + AUDIO + gone });
    const removal = as.only().message;
    assert.equal(as.events().filter((event) => event === 'MEDIA_CHANGE_REQUEST').length, 0, 'a removal asks nobody');
    assert.deepEqual(media(removal.body), ['m=audio 40000', 'm=application 0']);
    as.respond(removal, 200, {
      sdp: `${ANSWER_SESSION}${ANSWER_AUDIO}m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n`,
    });
    as.inDialog('ACK', 'caller', as.only().message, 8);
    as.take();
    assert.ok(as.events().includes('MEDIA_CHANGE_FAILURE'));
    const other = APPLICATION.replace('40020', '40040').replaceAll('1000', '3000').replace('505a', '707a');
    as.inDialog('INVITE', 'caller', ok, 9, { sdp: SESSION.replace('3001 1', '3001 3') + AUDIO + other });
    assert.deepEqual(
      Object.keys(as.lastNotification.notification.mediaInfoList ?? {}),
      ['m0', 'm2'],
      'the slot is used again, the id never',
    );
    as.notified();
    assert.deepEqual(media(as.only().message.body), ['m=audio 40000', 'm=application 40040']);
  });

  test('a stream left out of a re-offer is closed at the MF, nobody is asked', async () => {
    const as = new AsHarness();
    const onward = await offered(as, relay('m1', 1000, 1002));
    as.respond(onward, 200, { sdp: ANSWER });
    const ok = as.only().message;
    as.inDialog('ACK', 'caller', ok, 7);
    as.take();
    as.mfAnswers();
    const fewer = APPLICATION.replace(/a=dcmap:1002.*\r\n/, '').replace(',1002-UE', '');
    as.inDialog('INVITE', 'caller', ok, 8, {
      sdp:
        SESSION.replace('3001 1', '3001 2') +
        AUDIO +
        fewer.replace('a=3gpp-req-app:10000005;adc-stream-id-endpoint=1000-UE', REQ_APP.replace(',1002-UE', '')),
    });
    if (as.lastNotification.notification.notificationEvent.eventType === 'MEDIA_CHANGE_REQUEST') as.notified();
    const reinvite = as.only().message;
    assert.ok(!reinvite.body.includes('dcmap:1002'));
    as.respond(reinvite, 200, { sdp: ANSWER.replace(/a=dcmap:1002.*\r\n/, '') });
    as.take();
    const streams = as.mrm
      .flatMap(({ operation }) => (operation.method === 'PATCH' ? operation.patch : []))
      .filter(({ path }) => path.endsWith('/streams'));
    assert.deepEqual(Object.keys(streams.at(-1)?.value as object), ['1000']);
  });

  // conformance: R17 — a channel that the DCSF refuses on a live line is no news for the other peer
  for (const [how, instructions] of [
    ['e2DCe', relay('m1', 1000, 1002)],
    ['e2e', flow('m1', 1000, 1002)],
    ['not anchored', pass('m1')],
  ] as const) {
    test(`${how}: a third channel on a live line is refused, the callee hears neither of it nor of its binding`, async () => {
      const as = new AsHarness();
      as.respond(await offered(as, instructions), 200, { sdp: ANSWER });
      const { message: ok } = as.only();
      as.inDialog('ACK', 'caller', ok, 7);
      as.take();
      if (as.mrm.length > 0) as.mfAnswers();
      const third = APPLICATION.replace('a=3gpp-req-app', 'a=dcmap:1004 label="x"\r\na=3gpp-req-app').replace(
        '1002-UE',
        '1002-UE,1004-UE',
      );
      as.inDialog('INVITE', 'caller', ok, 8, { sdp: SESSION.replace('3001 1 ', '3001 2 ') + AUDIO + third });
      const asked = as.mrm.length;
      const refused = as.instruct(reject('m1'));
      if (as.mrm.length > asked) as.mfAnswers();
      assert.ok((await refused).ok);
      as.notified();
      const answer = as.only().message;
      assert.equal(answer.status, 200);
      assert.equal(sections(answer.body)[1], sections(ok.body)[1]);
    });
  }

  for (const [how, instructions] of [
    ['e2DCe', relay('m1', 1000)],
    ['e2e', flow('m1', 1000)],
  ] as const) {
    test(`${how}: a channel refused from the start is not offered to the callee, nor is its binding`, async () => {
      const as = new AsHarness();
      const onward = await offered(as, instructions);
      const line = sections(onward.body)[1] ?? '';
      assert.match(line, /a=dcmap:1000 /);
      assert.doesNotMatch(line, /1002/);
    });
  }
});

describe('free-standing instructions', () => {
  async function withBootstrap(as: AsHarness) {
    const onward = await offered(as, relay('m1', 1000, 1002));
    as.respond(onward, 200, { sdp: ANSWER });
    const ok = as.only().message;
    as.inDialog('ACK', 'caller', ok, 7);
    as.take();
    as.mfAnswers();
    return { ok, onward };
  }

  // conformance: network-side 2.5 — DCSF-initiated removal: the MF first, then port 0 by re-INVITE
  test('DELETE_MEDIA: port 0 to both peers, and the MF lets go when they have agreed', async () => {
    const as = new AsHarness();
    await withBootstrap(as);
    const result = await as.instruct(remove('m1'));
    assert.ok(result.ok);
    const served = as.only().message;
    assert.deepEqual(media(served.body), ['m=audio 40200', 'm=application 0']);
    as.respond(served, 200, { sdp: `${SESSION}${AUDIO}m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n` });
    const [, remote] = as.take();
    assert.deepEqual(media(remote!.message.body), ['m=audio 40000', 'm=application 0']);
    as.respond(remote!.message, 200, {
      sdp: `${ANSWER_SESSION}${ANSWER_AUDIO}m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n`,
    });
    assert.equal(as.mrm.at(-1)!.operation.method, 'DELETE');
  });

  // conformance: 23.228 AC.7.2.2 — A2P: the network adds a line by re-INVITE
  test('ORIGINATE_MEDIA in mid-call: a new line towards the named leg', async () => {
    const as = new AsHarness();
    await withBootstrap(as);
    const set = originate('d-9', 1001, 'served');
    const binding = {
      applicationId: '10000006',
      appDcInfoList: [{ streamId: 1001, adcEndpointType: 'SERVER' as const }],
    };
    set['d-9']!.dcMediaSpecification!.appBindingInfos = [binding];
    const result = as.instruct(set);
    assert.ok(as.lastPatch().some(({ path }) => path === '/terminations/0/medias/-'));
    const info = as.lastPatch().find(({ path }) => path === '/terminations/0/medias/-')!.value as {
      mediaId: string;
      mediaResourceType: string;
      dcMedia: object;
    };
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
                  localMbEndpoint: { ip: { ipv4Addr: '198.51.100.5' }, portNumber: 50500 },
                  dcMedia: {
                    streams: {},
                    localDcEndpoint: { sctpPort: 5000, fingerprints: [MF_FINGERPRINT], tlsId: 'mfmfmfmfmfmfmfmfmf09' },
                  },
                },
              ],
            },
          ],
        },
      },
    });
    assert.ok((await result).ok);
    const served = as.only().message;
    assert.deepEqual(media(served.body), ['m=audio 40200', 'm=application 50000', 'm=application 50500']);
    const first = sections(served.body)[1] ?? '';
    assert.match(first, /a=setup:active\r\n/, 'R19: a running line keeps its role');
    const added = sections(served.body)[2] ?? '';
    assert.match(added, /a=dcmap:1001[\s\S]*a=3gpp-req-app:10000006;adc-stream-id-endpoint=1001-Server\r\n/);
    as.respond(served, 200, {
      sdp:
        SESSION +
        AUDIO +
        APPLICATION.replace('actpass', 'passive') +
        section(40060, 'passive', 'alicetlsid0000000009', ['1001 subprotocol="http"']),
    });
    as.take();
    assert.deepEqual(as.lastPatch().find(({ path }) => path === '/terminations/0/medias/1/remoteMbEndpoint')?.value, {
      ip: { ipv4Addr: '198.51.100.20' },
      transport: 'UDP',
      portNumber: 40060,
    });
  });

  test('UPDATE_MEDIA changes what the MF does, and no SDP', async () => {
    const as = new AsHarness();
    await withBootstrap(as);
    const result = as.instruct({
      m1: {
        mediaId: 'm1',
        mediaResourceType: 'DC',
        mediaInstruction: 'UPDATE_MEDIA',
        dcMediaSpecification: {
          mdc2Protocol: 'TCP/TLS',
          streams: { '1000': { streamId: 1000 }, '1002': { streamId: 1002 } },
        },
      },
    });
    assert.deepEqual(
      as
        .lastPatch()
        .filter(({ op }) => op !== 'test')
        .map(({ path }) => path),
      ['/terminations/0/medias/0/dcMedia/mdc2Protocol', '/terminations/1/medias/0/dcMedia/mdc2Protocol'],
    );
    as.mfAnswers();
    assert.ok((await result).ok);
    assert.deepEqual(as.take(), []);
  });

  test('an MF that refuses leaves everything as it was', async () => {
    const as = new AsHarness();
    await withBootstrap(as);
    const result = as.instruct(originate('d-9', 0, 'served'));
    as.mfAnswers({ ok: false, status: 503, detail: 'full' });
    const refused = await result;
    assert.ok(!refused.ok && refused.problem.status === 503);
    assert.deepEqual(as.take(), []);
    assert.deepEqual(
      [...as.dispatcher.calls()][0]!.media?.lines.map((line) => line.id),
      ['m0', 'm1'],
    );
  });
});
