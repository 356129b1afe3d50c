import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MediaEvent, MediaInfo } from '../../../src/services/nmf-mrm.ts';
import { context, endpoint, Rig, relayMedia, remoteDc, TLS_B } from '../rig.ts';

const key = (n: number) => `ctx1#${n}`;
const carried = (bytesReceived: number, bytesSent: number) => ({
  bytesReceived,
  messagesReceived: 1,
  bytesSent,
  messagesSent: 2,
});

function asking(media: MediaInfo, usage = true): MediaInfo {
  Object.assign(media.dcMedia!, { imsdc: { eventUri: 'http://127.0.0.1:1/events', usage } });
  return media;
}

function line(port: number, usage = true): MediaInfo {
  const media = relayMedia('m2', 1_000, { remoteMbEndpoint: endpoint(port) });
  Object.assign(media.dcMedia!, {
    streams: { 1000: { streamId: 1_000 }, 1002: { streamId: 1_002 } },
    remoteDcEndpoint: remoteDc(),
    securitySetup: 'ACTPASS',
  });
  return asking(media, usage);
}

const told = (rig: Rig) =>
  rig.events.map(({ terminationId, mediaId, state, reason, usage }) => [
    `${terminationId}/${mediaId} ${state} ${reason ?? ''}`.trim(),
    Object.fromEntries(Object.entries(usage?.streams ?? {}).map(([id, { bytesReceived }]) => [id, bytesReceived])),
  ]);

describe('what a channel carried (R31)', () => {
  // conformance: R31 — final figures per stream, both ways, posted to the consumer that asked
  test('DELETE: the last figures of every stream, per leg', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [line(50_000)], remote: [line(50_002)] }));
    rig.engine.carried.set(key(1), { 1000: carried(10, 20), 1002: carried(11, 21) });
    rig.engine.carried.set(key(2), { 1000: carried(12, 22), 1002: carried(13, 23) });
    await rig.delete('ctx1');
    assert.deepEqual(told(rig), [
      ['served/m2 ended released', { 1000: 10, 1002: 11 }],
      ['remote/m2 ended released', { 1000: 12, 1002: 13 }],
    ]);
    assert.deepEqual(rig.events[0]!.usage?.streams['1000'], carried(10, 20));
  });

  test('nobody asked: nothing is counted, nothing is posted', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [line(50_000, false)], remote: [line(50_002, false)] }));
    await rig.delete('ctx1');
    assert.deepEqual(told(rig), []);
    assert.ok(!rig.engine.log.some((entry) => entry.startsWith('stats')));
  });

  test('a stream that was closed is told of once', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [line(50_000)], remote: [line(50_002)] }));
    for (const one of [1, 2]) rig.engine.carried.set(key(one), { 1000: carried(10, 20), 1002: carried(11, 21) });
    for (let i = 0; i < 2; i++) {
      rig.engine.emit('stream', { key: key(1), streamId: 1_000, state: 'closed', reason: 'PEER_RESET_STREAM' });
      await rig.settle();
    }
    await rig.delete('ctx1');
    assert.deepEqual(told(rig), [
      ['served/m2 streamClosed PEER_RESET_STREAM', { 1000: 10 }],
      ['served/m2 ended released', { 1002: 11 }],
      ['remote/m2 ended released', { 1000: 10, 1002: 11 }],
    ]);
  });

  test('a stream that was left out', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [line(50_000)], remote: [line(50_002)] }));
    for (const one of [1, 2]) rig.engine.carried.set(key(one), { 1000: carried(10, 20), 1002: carried(11, 21) });
    const streams = { 1000: { streamId: 1_000 } };
    await rig.patch('ctx1', [
      { op: 'replace', path: '/terminations/0/medias/0/dcMedia/streams', value: streams },
      { op: 'replace', path: '/terminations/1/medias/0/dcMedia/streams', value: streams },
    ]);
    assert.deepEqual(told(rig), [
      ['served/m2 streamClosed released', { 1002: 11 }],
      ['remote/m2 streamClosed released', { 1002: 11 }],
    ]);
  });

  test('another association takes over (R12): superseded, and ended at the end', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [line(50_000)], remote: [line(50_002)] }));
    await rig.state(key(1), 'connected');
    rig.engine.carried.set(key(1), { 1000: carried(10, 20) });
    await rig.patch('ctx1', [
      { op: 'replace', path: '/terminations/0/medias/0/dcMedia/remoteDcEndpoint', value: remoteDc(undefined, TLS_B) },
    ]);
    rig.engine.carried.set(key(3), { 1000: carried(30, 40) });
    await rig.state(key(3), 'connected');
    await rig.delete('ctx1');
    assert.deepEqual(
      told(rig).filter(([what]) => String(what).startsWith('served') && !String(what).endsWith('connected')),
      [
        ['served/m2 superseded released', { 1000: 10 }],
        ['served/m2 ended released', { 1000: 30 }],
      ],
    );
  });

  test('an association that fails: its figures, then that it failed', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [line(50_000)], remote: [line(50_002)] }));
    rig.engine.carried.set(key(1), { 1000: carried(10, 20) });
    await rig.state(key(1), 'failed', 'PEER_GONE');
    assert.deepEqual(told(rig), [
      ['served/m2 ended PEER_GONE', { 1000: 10 }],
      ['served/m2 failed PEER_GONE', {}],
    ]);
  });

  test('e2e: datagrams of each side', async () => {
    const rig = new Rig();
    const side = (port: number) => {
      const media = relayMedia('m3', 1_000, { remoteMbEndpoint: endpoint(port) });
      media.dcMedia!.mediaProxyConfig = 'UDP_PROXY';
      return asking(media);
    };
    await rig.create(context({ served: [side(50_000)], remote: [side(50_002)] }));
    rig.engine.carried.set(key(1), { 0: carried(7, 8), 1: carried(9, 10) });
    await rig.delete('ctx1');
    assert.deepEqual(
      rig.events.map(({ terminationId, usage }) => [terminationId, usage]),
      [
        ['served', { streams: {}, datagrams: carried(7, 8) }],
        ['remote', { streams: {}, datagrams: carried(9, 10) }],
      ] satisfies [string, MediaEvent['usage']][],
    );
  });

  test('an engine that cannot tell: the release goes on', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [line(50_000)], remote: [line(50_002)] }));
    rig.engine.fail = (operation) => {
      if (operation === 'stats') throw new Error('no');
    };
    await rig.delete('ctx1');
    assert.deepEqual([told(rig), rig.contexts.size], [[], 0]);
  });
});
