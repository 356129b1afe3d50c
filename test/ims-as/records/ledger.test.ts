import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Value } from 'typebox/value';
import { ChannelRecord } from '../../../src/ims-as/records/channel-record.ts';
import type { MediaEvent, MediaFigures } from '../../../src/services/nmf-mrm.ts';
import type { SipMessage } from '../../../src/sip/types.ts';
import { AsHarness, flow, MF_2, originate, pass, relay, remove, terminate } from '../as-harness.ts';
import { ANSWER_AUDIO, ANSWER_SESSION, APPLICATION, AUDIO, E1, SESSION, section } from '../sdp-examples.ts';

const STREAMS = ['1000 label="local_10000005_1_draw"', '1002 label="local_10000005_1_pos";ordered=false;max-time=150'];
const REQ_APP = 'a=3gpp-req-app:10000005;adc-stream-id-endpoint=1000-UE,1002-UE';
const ANSWER = ANSWER_SESSION + ANSWER_AUDIO + section(42000, 'passive', 'calleetlsidapp000000', STREAMS, [REQ_APP]);
const CHARGING = 'P-Charging-Vector: icid-value="icid-7";icid-generated-at=192.0.2.1\r\n';
const PORT_0 = 'm=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n';

const figures = (n: number): MediaFigures => ({
  bytesReceived: n * 10,
  messagesReceived: n,
  bytesSent: n * 1_000,
  messagesSent: n * 100,
});
const leg = (n: number) => ({
  from: { bytes: n * 10, messages: n },
  to: { bytes: n * 1_000, messages: n * 100 },
});

/** What the MF posts of one leg of m1. */
function tells(as: AsHarness, terminationId: string, event: Partial<MediaEvent>): void {
  as.ledger.mediaEvent({ contextId: 'ctx-1', terminationId, mediaId: 'm1', state: 'ended', ...event });
}

interface Established {
  readonly as: AsHarness;
  readonly ok: SipMessage;
}

/** A call with one application line, decided so, answered and acknowledged. */
async function established(
  instructions: Parameters<AsHarness['instruct']>[0],
  application = APPLICATION,
  as = new AsHarness(),
): Promise<Established> {
  as.invite({ sdp: SESSION + AUDIO + application, headers: CHARGING });
  const result = as.instruct(instructions);
  if (as.mrm.length > 0) as.mfAnswers();
  assert.ok((await result).ok);
  as.notified();
  as.respond(as.only().message, 200, { sdp: ANSWER });
  const ok = as.only().message;
  as.inDialog('ACK', 'caller', ok, 7);
  as.take();
  if (as.mrm.length > 0) as.mfAnswers();
  return { as, ok };
}

function bye({ as, ok }: Established): void {
  as.inDialog('BYE', 'caller', ok, 90);
  for (const { kind, message } of as.take()) if (kind === 'request') as.respond(message, 200);
}

const byStream = (as: AsHarness) =>
  Object.fromEntries(as.records.map((record) => [`${record.mediaId}/${record.streamId}`, record]));

describe('a record per channel', () => {
  // conformance: R31 — one record per channel at its end: who, app, mode, bytes and messages each way, cause, ICID
  test('BYE: both legs counted, written when the last figures have come', async () => {
    const call = await established(relay('m1', 1000, 1002));
    const { as } = call;
    tells(as, 'served', { state: 'connected' });
    as.timers.advance(2_500);
    bye(call);
    tells(as, 'served', { usage: { streams: { 1000: figures(1), 1002: figures(2) } } });
    assert.equal(as.records.length, 0, 'the other leg is missing');
    tells(as, 'remote', { usage: { streams: { 1000: figures(3), 1002: figures(4) } } });
    const records = byStream(as);
    assert.deepEqual(Object.keys(records), ['m1/1000', 'm1/1002']);
    const { callId, connectedAt, endedAt, openedAt, sessionId, ...rest } = records['m1/1002']!;
    assert.deepEqual(rest, {
      schema: 1,
      chargingId: 'icid-7',
      sessionCase: 'originating',
      served: 'sip:alice@ims.example',
      peer: 'sip:bob@ims.example',
      mediaId: 'm1',
      streamId: 1002,
      label: 'local_10000005_1_pos',
      subprotocol: '',
      applicationId: '10000005',
      mode: 'P2P',
      proxy: 'DC_APPLICATION_PROXY',
      durationMs: 2_500,
      cause: 'BYE',
      detail: 'BYE from served',
      failure: null,
      counted: 'messages',
      legs: { served: leg(2), remote: leg(4) },
    });
    assert.equal(Date.parse(endedAt) - Date.parse(openedAt), 2_500);
    assert.equal(connectedAt, openedAt);
    assert.ok(callId !== '' && sessionId !== '');
    for (const record of as.records) assert.ok(Value.Check(ChannelRecord, record));
    as.timers.advance(60_000);
    assert.equal(as.records.length, 2, 'each only once');
  });

  test('an MF that tells nothing: written after the wait, without figures', async () => {
    const call = await established(relay('m1', 1000, 1002));
    bye(call);
    call.as.timers.advance(4_999);
    assert.equal(call.as.records.length, 0);
    call.as.timers.advance(1);
    assert.deepEqual(
      call.as.records.map(({ counted, durationMs, legs }) => [counted, durationMs, legs]),
      [
        ['nothing', 0, {}],
        ['nothing', 0, {}],
      ],
    );
  });

  test('past the MF: who and how long, at once', async () => {
    const call = await established(pass('m1'));
    call.as.timers.advance(1_000);
    bye(call);
    assert.deepEqual(
      call.as.records.map(({ applicationId, cause, counted, mode, proxy }) => [
        mode,
        proxy,
        applicationId,
        cause,
        counted,
      ]),
      Array(2).fill(['P2P', null, '10000005', 'BYE', 'nothing']),
    );
  });

  test('e2e: the datagrams of the line, on each of its channels', async () => {
    const call = await established(flow('m1', 1000, 1002));
    bye(call);
    for (const [terminationId, n] of [
      ['served', 5],
      ['remote', 6],
    ] as const) {
      tells(call.as, terminationId, { usage: { streams: {}, datagrams: figures(n) } });
    }
    for (const record of call.as.records) {
      assert.deepEqual(
        [record.proxy, record.counted, record.legs],
        ['UDP_PROXY', 'datagrams', { served: leg(5), remote: leg(6) }],
      );
    }
    assert.equal(call.as.records.length, 2);
  });

  test('bootstrap channels: two of one call, the one that we added too', async () => {
    const as = new AsHarness();
    as.invite({ sdp: E1 });
    const result = as.instruct({ ...terminate('m1', 0), ...originate('d-1', 100, 'remote') });
    as.mfAnswers();
    assert.ok((await result).ok);
    as.notified();
    const lines = [
      section(42010, 'passive', 'calleetlsid000000001', ['100 subprotocol="http"'], ['a=3gpp-bdc-used-by:receiver']),
    ];
    as.respond(as.only().message, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO + lines.join('') });
    const ok = as.only().message;
    as.inDialog('ACK', 'caller', ok, 7);
    as.take();
    bye({ as, ok });
    as.timers.advance(5_000);
    assert.deepEqual(
      as.records.map(({ applicationId, mode, proxy, streamId, subprotocol }) => [
        streamId,
        mode,
        proxy,
        subprotocol,
        applicationId,
      ]),
      [
        [0, 'bootstrap', 'HTTP_PROXY', 'http', null],
        [100, 'bootstrap', 'HTTP_PROXY', 'http', null],
      ],
    );
  });

  test('port 0: the line ended, the call goes on; a later BYE adds nothing', async () => {
    const call = await established(pass('m1'));
    const { as, ok } = call;
    const gone = APPLICATION.replace('m=application 40020', 'm=application 0');
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: SESSION.replace('3001 1', '3001 2') + AUDIO + gone });
    assert.equal(as.records.length, 0, 'only offered');
    as.respond(as.only().message, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO + PORT_0 });
    assert.deepEqual(
      as.records.map(({ cause }) => cause),
      ['PORT_0', 'PORT_0'],
    );
    as.inDialog('ACK', 'caller', as.only().message, 8);
    as.take();
    bye(call);
    assert.equal(as.records.length, 2);
  });

  test('a dcmap left out: that channel only', async () => {
    const { as, ok } = await established(relay('m1', 1000, 1002));
    const fewer = APPLICATION.replace(/a=dcmap:1002.*\r\n/, '');
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: SESSION.replace('3001 1', '3001 2') + AUDIO + fewer });
    if (as.events().at(-1) === 'MEDIA_CHANGE_REQUEST') as.notified();
    as.respond(as.only().message, 200, { sdp: ANSWER.replace(/a=dcmap:1002.*\r\n/, '') });
    for (const terminationId of ['served', 'remote']) {
      tells(as, terminationId, { state: 'streamClosed', usage: { streams: { 1002: figures(1) } } });
    }
    assert.deepEqual(
      as.records.map(({ cause, legs, streamId }) => [streamId, cause, legs]),
      [[1002, 'DCMAP_REMOVED', { served: leg(1), remote: leg(1) }]],
    );
  });

  test('a re-offer that is refused ends nothing', async () => {
    const { as, ok } = await established(relay('m1', 1000, 1002));
    const fewer = APPLICATION.replace(/a=dcmap:1002.*\r\n/, '');
    as.inDialog('INVITE', 'caller', ok, 8, { sdp: SESSION.replace('3001 1', '3001 2') + AUDIO + fewer });
    if (as.events().at(-1) === 'MEDIA_CHANGE_REQUEST') as.notified();
    as.respond(as.only().message, 488);
    as.timers.advance(10_000);
    assert.deepEqual(as.records, []);
  });

  test('the stream was reset: that channel, with the reason, and never again', async () => {
    const call = await established(relay('m1', 1000, 1002));
    const { as } = call;
    tells(as, 'served', {
      state: 'streamClosed',
      reason: 'PEER_RESET_STREAM',
      usage: { streams: { 1000: figures(1) } },
    });
    assert.equal(as.records.length, 0, 'the other leg is missing');
    tells(as, 'remote', { state: 'streamClosed', usage: { streams: { 1000: figures(2) } } });
    assert.deepEqual(
      as.records.map(({ cause, detail, legs, streamId }) => [streamId, cause, detail, legs]),
      [[1000, 'STREAM_RESET', 'PEER_RESET_STREAM', { served: leg(1), remote: leg(2) }]],
    );
    bye(call);
    for (const terminationId of ['served', 'remote'])
      tells(as, terminationId, { usage: { streams: { 1002: figures(3) } } });
    assert.deepEqual(
      as.records.map(({ cause, streamId }) => [streamId, cause]),
      [
        [1000, 'STREAM_RESET'],
        [1002, 'BYE'],
      ],
    );
  });

  test('an instruction deleted it', async () => {
    const { as } = await established(relay('m1', 1000, 1002));
    assert.ok((await as.instruct(remove('m1'))).ok);
    as.respond(as.only().message, 200, { sdp: SESSION + AUDIO + PORT_0 });
    as.respond(as.take().at(-1)!.message, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO + PORT_0 });
    as.timers.advance(5_000);
    assert.deepEqual(
      as.records.map(({ cause }) => cause),
      ['DELETED', 'DELETED'],
    );
  });

  test('the MF is lost: its figures are, too, and are not waited for', async () => {
    const withoutRepair = new AsHarness({ config: { repair: { limitMs: 0, offer: 'inPlace' } } });
    const { as } = await established(relay('m1', 1000), APPLICATION, withoutRepair);
    as.dispatcher.contextLost('ctx-1', 'MF lost the context: workerExit');
    as.timers.advance(20);
    as.respond(as.only().message, 200, { sdp: SESSION + AUDIO + PORT_0 });
    as.respond(as.take().at(-1)!.message, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO + PORT_0 });
    assert.deepEqual(
      as.records.map(({ cause, counted }) => [cause, counted]),
      [['MF_LOST', 'nothing']],
    );
  });

  test('the MF is lost and another one takes over: one record, of what the last one counted', async () => {
    const call = await established(relay('m1', 1000));
    const { as } = call;
    as.dispatcher.contextsLost(new Set(['ctx-1']), 'workerExit');
    as.timers.advance(20);
    as.mfAnswers({ ok: false, status: 503, detail: 'not yet' });
    as.timers.advance(2_000);
    as.mfAnswers(undefined, MF_2);
    const streams = ['1000 label="local_10000005_1_draw"'];
    const line = (port: number) => section(port, 'passive', `again${port}000000000`, streams, [REQ_APP]);
    as.respond(as.only().message, 200, { sdp: SESSION + AUDIO + line(40020) });
    as.respond(as.take().at(-1)!.message, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO + line(42000) });
    assert.equal(as.records.length, 0);
    bye(call);
    for (const terminationId of ['served', 'remote'])
      tells(as, terminationId, { contextId: 'ctx-2', usage: { streams: { 1000: figures(5) } } });
    assert.deepEqual(
      as.records.map(({ cause, legs }) => [cause, legs]),
      [['BYE', { served: leg(5), remote: leg(5) }]],
    );
  });

  test('an association gave way to another one (R12): one record, both counted', async () => {
    const call = await established(relay('m1', 1000));
    tells(call.as, 'served', { state: 'superseded', usage: { streams: { 1000: figures(1) } } });
    bye(call);
    tells(call.as, 'served', { usage: { streams: { 1000: figures(2) } } });
    tells(call.as, 'remote', { usage: { streams: { 1000: figures(4) } } });
    assert.deepEqual(
      call.as.records.map(({ legs }) => legs),
      [{ served: leg(3), remote: leg(4) }],
    );
  });

  test('an association failed: said in the record, whose figures need not be waited for', async () => {
    const call = await established(relay('m1', 1000));
    for (const terminationId of ['served', 'remote']) {
      tells(call.as, terminationId, { usage: { streams: { 1000: figures(1) } } });
      tells(call.as, terminationId, { state: 'failed', reason: 'HANDSHAKE_TIMEOUT' });
    }
    bye(call);
    assert.deepEqual(
      call.as.records.map(({ cause, connectedAt, failure }) => [cause, connectedAt, failure]),
      [['BYE', null, 'HANDSHAKE_TIMEOUT']],
    );
  });

  test('the operator releases the call; this process ends', async () => {
    const released = await established(pass('m1'));
    released.as.dispatcher.release();
    assert.deepEqual(
      released.as.records.map(({ cause, detail }) => [cause, detail]),
      Array(2).fill(['RELEASED', 'released by the operator']),
    );
    const stopped = await established(relay('m1', 1000));
    stopped.as.ledger.close();
    assert.deepEqual(
      stopped.as.records.map(({ cause }) => cause),
      ['AS_STOPPED'],
    );
    bye(stopped);
    stopped.as.timers.advance(60_000);
    assert.equal(stopped.as.records.length, 1);
  });

  test('early bootstrap channels of a call that is cancelled', async () => {
    const as = new AsHarness();
    const invite = as.invite({ sdp: E1 });
    const result = as.instruct(terminate('m1', 0));
    as.mfAnswers();
    assert.ok((await result).ok);
    as.notified();
    const onward = as.only().message;
    as.respond(onward, 183, { sdp: ANSWER_SESSION + ANSWER_AUDIO });
    as.cancel(invite);
    as.respond(onward, 487);
    as.timers.advance(5_000);
    assert.deepEqual(
      as.records.map(({ cause, streamId }) => [streamId, cause]),
      [[0, 'CANCEL']],
    );
  });

  test('a call without data channels, and one whose line was refused, leave no record', async () => {
    const as = new AsHarness();
    as.invite({ sdp: SESSION + AUDIO });
    as.respond(as.only().message, 200, { sdp: ANSWER_SESSION + ANSWER_AUDIO });
    const ok = as.only().message;
    as.inDialog('ACK', 'caller', ok, 7);
    as.take();
    bye({ as, ok });
    as.timers.advance(60_000);
    assert.deepEqual(as.records, []);
  });
});

describe('what the MF is asked', () => {
  test('figures only where records are kept', async () => {
    for (const channelUsage of [false, true]) {
      const as = new AsHarness({ config: { channelUsage, mediaEventUri: 'http://127.0.0.1:9/events' } });
      as.invite({ sdp: SESSION + AUDIO + APPLICATION });
      void as.instruct(relay('m1', 1000));
      const { imsdc } = as.context().terminations[0]!.medias[0]!.dcMedia!;
      assert.equal(imsdc?.usage, channelUsage || undefined);
    }
  });
});
