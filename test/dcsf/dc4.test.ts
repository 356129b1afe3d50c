import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { DC4_PATH, startDc4 } from '../../src/dcsf/dc4.ts';
import { startDcsf } from '../../src/dcsf/index.ts';
import { openTicket } from '../../src/services/mdc2.ts';
import type { MediaInstructionData } from '../../src/services/nimsas.ts';
import { ALICE, AUDIO, line, notification } from './decide/fixtures.ts';
import { configured } from './support.ts';

const APP = '10000006';
const SECRET = 'shared with the DC AS';
const OFFER = { m0: AUDIO, m1: line([0]) };

/** A DCSF with DC4, an IMS AS that writes down what it is told, and one call of Alice. */
async function rig(overrides: { default?: object } = {}) {
  const told: MediaInstructionData[] = [];
  let refuse: Error | undefined;
  const config = configured({
    policy: { dcAs: { [APP]: { url: 'ws://127.0.0.1:8100/channels', secret: SECRET } } },
    dc4: { enabled: true, port: 0 },
    subscribers: { default: overrides.default ?? {} },
  });
  const dcsf = startDcsf(config, {
    mediaControl: {
      async mediaInstruction(data) {
        if (refuse) throw refuse;
        told.push(data);
        return undefined;
      },
    },
    grants: { grant: () => undefined, revoke: () => undefined, applications: () => new Map() },
    log: silentLogger,
    metrics: new Metrics(),
  });
  await dcsf.sessionEvents.notify(notification(OFFER), { deadlineMs: Date.now() + 5_000 });
  told.length = 0;
  const dc4 = await startDc4(config.dc4, config.policy.dcAs, dcsf.channels);
  const ask = async (method: string, path: string, body?: object, secret = SECRET) => {
    const response = await fetch(`${dc4.address}${DC4_PATH}/applications/${path}`, {
      method,
      headers: { authorization: `Bearer ${secret}`, ...(body && { 'content-type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: (text ? JSON.parse(text) : {}) as Record<string, unknown> };
  };
  return {
    dcsf,
    told,
    ask,
    refuseWith: (error: Error | undefined) => (refuse = error),
    async close() {
      await dc4.close();
      await dcsf.close();
    },
  };
}

describe('DC4: channels from an application to a user', () => {
  // conformance: 23.228 AC.7.2.2 — A2P: ORIGINATE_MEDIA outside a notification, with MDC2
  test('a line is added and ended', async () => {
    const { ask, close, dcsf, told } = await rig();
    const channels = [
      { name: 'menu', subprotocol: 'json' },
      { name: 'ticker', ordered: false, maxTimeMs: 150 },
    ];
    const created = await ask('POST', `${APP}/lines`, {
      servedUser: `${ALICE.toUpperCase().replace('ALICE', 'alice').replace('SIP', 'sip')}:5060`,
      channels,
    });
    assert.equal(created.status, 201, JSON.stringify(created.body));
    const { mediaId, sessionId, streams } = created.body as { mediaId: string; sessionId: string; streams: number[] };
    assert.deepEqual([sessionId, streams], ['s1', [1001, 1003]]);
    assert.match(mediaId, /^d-[0-9a-f-]{36}$/);
    const instruction = told[0]!.mediaInstructionSet[mediaId]!;
    assert.equal(instruction.mediaInstruction, 'ORIGINATE_MEDIA');
    const spec = instruction.dcMediaSpecification!;
    assert.deepEqual(spec.streams, {
      1001: { streamId: 1001, label: `local_${APP}_2_menu`, subprotocol: 'json' },
      1003: { streamId: 1003, label: `local_${APP}_2_ticker`, order: false, maxTime: 150 },
    });
    assert.equal(spec.imsdcTowards, 'served');
    assert.equal(openTicket(spec.imsdcMdc2!.ticket!, SECRET, Date.now())!.mode, 'A2P');
    assert.equal(dcsf.status().media, 3);

    const again = await ask('POST', `${APP}/lines`, { sessionId, channels: [{ name: 'more' }] });
    assert.deepEqual(again.body.streams, [1005], 'ids are not used twice in a call');
    assert.equal((await ask('DELETE', `${APP}/sessions/s1/lines/${mediaId}`)).status, 204);
    assert.equal(told.at(-1)!.mediaInstructionSet[mediaId]!.mediaInstruction, 'DELETE_MEDIA');
    assert.equal((await ask('DELETE', `${APP}/sessions/s1/lines/${mediaId}`)).status, 404);
    assert.equal((await ask('DELETE', `${APP}/sessions/s1/lines/m1`)).status, 404, 'not a line of that application');
    await close();
  });

  // conformance: 23.228 AC.7.2.2 — A2P into a call that had no data channel; 24.186 9.3.2.2.2 — bootstrap by the network
  test('a call without data channels is known, and gets them', async () => {
    const { ask, close, dcsf, told } = await rig();
    const { mediaInfoList: _, ...plain } = notification({}, { event: 'SESSION_ESTABLISHMENT_SUCCESS' });
    const tell = (event: object) =>
      dcsf.sessionEvents.notify({ ...plain, ...event }, { deadlineMs: Date.now() + 5_000 });
    await tell({ sessionId: 's2' });
    assert.equal(dcsf.status().sessions, 2);
    const asked = { sessionId: 's2', channels: [{ name: 'menu' }], bootstrap: true };
    const created = await ask('POST', `${APP}/lines`, asked);
    assert.deepEqual([created.status, created.body.streams], [201, [1001]]);
    const set = Object.values(told[0]!.mediaInstructionSet).map(({ dcMediaSpecification: spec, mediaInstruction }) => [
      mediaInstruction,
      spec?.mediaProxyConfig,
      Object.keys(spec!.streams),
      spec?.imsdcTowards,
    ]);
    assert.deepEqual(set, [
      ['ORIGINATE_MEDIA', 'HTTP_PROXY', ['0'], 'served'],
      ['ORIGINATE_MEDIA', 'DC_APPLICATION_PROXY', ['1001'], 'served'],
    ]);
    assert.equal(dcsf.status().tokens > 0, true);
    const again = await ask('POST', `${APP}/lines`, { sessionId: 's2', channels: [], bootstrap: true });
    assert.equal(again.status, 403, 'there is one already');
    const more = await ask('POST', `${APP}/lines`, { ...asked, channels: [{ name: 'more' }] });
    assert.deepEqual([more.status, Object.keys(told.at(-1)!.mediaInstructionSet).length], [201, 1]);
    await tell({ sessionId: 's2', notificationEvent: { eventType: 'SESSION_TERMINATION' } });
    assert.equal(dcsf.status().sessions, 1);
    await close();
  });

  test('a bootstrap line that the IMS AS refuses leaves no token', async () => {
    const { ask, close, dcsf, refuseWith } = await rig();
    const { mediaInfoList: _, ...plain } = notification({}, { event: 'SESSION_ESTABLISHMENT_SUCCESS' });
    await dcsf.sessionEvents.notify({ ...plain, sessionId: 's2' }, { deadlineMs: Date.now() + 5_000 });
    const before = dcsf.status();
    refuseWith(new Error('the session has no data channels'));
    assert.equal((await ask('POST', `${APP}/lines`, { sessionId: 's2', channels: [], bootstrap: true })).status, 500);
    assert.deepEqual([dcsf.status().tokens, dcsf.status().media], [before.tokens, before.media]);
    await close();
  });

  test('who asks without the secret learns nothing', async () => {
    const { ask, close, told } = await rig();
    const body = { servedUser: ALICE, channels: [{ name: 'menu' }] };
    assert.equal((await ask('POST', `${APP}/lines`, body, 'wrong')).status, 401);
    assert.equal((await ask('POST', 'unknown/lines', body)).status, 401);
    assert.equal((await ask('POST', 'constructor/lines', body, '')).status, 401);
    assert.equal((await ask('DELETE', `${APP}/sessions/s1/lines/x`, undefined, 'wrong')).status, 401);
    assert.equal((await ask('POST', `${APP}/lines`, { servedUser: ALICE, channels: [] })).status, 400);
    assert.equal((await ask('POST', `${APP}/lines`, { ...body, servedUser: 'sip:nobody@x' })).status, 404);
    assert.deepEqual(told, []);
    await close();
  });

  for (const [what, profile, reason] of [
    ['no calls from applications', { a2p: false }, /takes no calls from applications/],
    ['another subscription', { applications: ['1'] }, /has not subscribed/],
    ['no more channels', { maxChannels: 0 }, /more than the 0 application channels/],
  ] as const) {
    // conformance: R9 — the subscription of the served user decides
    test(`the subscription decides: ${what}`, async () => {
      const { ask, close, told } = await rig({ default: profile });
      const { body, status } = await ask('POST', `${APP}/lines`, { servedUser: ALICE, channels: [{ name: 'menu' }] });
      assert.equal(status, 403);
      assert.match(String(body.detail), reason);
      assert.deepEqual(told, []);
      await close();
    });
  }

  test('what the IMS AS refuses is not remembered', async () => {
    const { ask, close, dcsf, refuseWith } = await rig();
    refuseWith(new Error('the session has ended'));
    const { status } = await ask('POST', `${APP}/lines`, { servedUser: ALICE, channels: [{ name: 'menu' }] });
    assert.equal(status, 500);
    assert.equal(dcsf.status().media, 2);
    await close();
  });

  test('off loopback only with TLS', async () => {
    const config = configured({ dc4: { host: '192.0.2.1' } });
    const channels = { add: () => Promise.reject(new Error()), remove: () => Promise.reject(new Error()) };
    await assert.rejects(startDc4(config.dc4, {}, channels), { code: 'DCSF_PLAINTEXT' });
  });
});

describe('dcsf.policy.dcAs', () => {
  const starts = (entry: object) => () =>
    startDcsf(configured({ policy: { dcAs: { [APP]: { secret: SECRET, ...entry } } } }), {
      mediaControl: { mediaInstruction: () => Promise.resolve(undefined) },
      grants: { grant: () => undefined, revoke: () => undefined, applications: () => new Map() },
      log: silentLogger,
      metrics: new Metrics(),
    });

  test('says what an MF could not use', () => {
    assert.throws(starts({ url: 'wss://dc-as.example/' }), /"dc-as.example" is a name/);
    assert.throws(starts({ url: 'ws://192.0.2.1/' }), /ws:\/\/ is for loopback only/);
    assert.throws(starts({ url: 'ws://127.0.0.1/', address: '192.0.2.1' }), /loopback only/);
    assert.throws(starts({ url: 'wss://:x/' }), /is not a URL/);
  });
});
