import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MediaInfo } from '../../../src/services/nmf-mrm.ts';
import { context, endpoint, NO_RESIDUE, Rig, relayMedia, remoteDc, SHA_B } from '../rig.ts';

const key = (n: number) => `ctx1#${n}`;
const STREAM = 1_000;

/** A line that ends at a DC AS on 127.0.0.7:5555. */
function line(more: Partial<MediaInfo['dcMedia']>, mediaId = 'm3'): MediaInfo {
  const media = relayMedia(mediaId, STREAM, { remoteMbEndpoint: endpoint(50_000) });
  Object.assign(media.dcMedia!, { remoteMdc2Endpoint: endpoint(5_555, '127.0.0.7'), ...more });
  return media;
}

const overDtls = (change: object = {}) =>
  line({
    mdc2Protocol: 'UDP/DTLS/SCTP',
    remoteDcEndpoint: remoteDc(),
    securitySetup: 'ACTPASS',
    imsdc: {
      eventUri: 'http://127.0.0.1:1/events',
      mdc2: { dcEndpoint: { ...remoteDc(SHA_B), securitySetup: 'PASSIVE' as const }, ...change },
    },
  });

describe('a DC AS at the other end of DTLS', () => {
  // conformance: 23.228 AC.7.2.2 — DC_APPLICATION_PROXY, mdc2Protocol UDP/DTLS/SCTP: the MF's own association with the DC AS
  test('an association of our own, relayed stream by stream, both ways', async () => {
    const rig = new Rig();
    const created = await rig.create(context({ served: [overDtls({ maxMessageSizeBytes: 20_000 })] }));
    const [ue, dcAs] = [rig.engine.associations.get(key(1))!, rig.engine.associations.get(key(2))!];
    assert.deepEqual([...ue.routes], [[STREAM, `${key(2)} ${STREAM}`]]);
    assert.deepEqual([...dcAs.routes], [[STREAM, `${key(1)} ${STREAM}`]]);
    const { address, fingerprints, maxMessageSizeBytes, port, role } = dcAs.started!;
    assert.deepEqual([address, port, role, maxMessageSizeBytes], ['127.0.0.7', 5_555, 'active', 20_000]);
    assert.deepEqual(fingerprints, [SHA_B]);
    assert.equal(dcAs.options.bindAddress, '127.0.0.2', 'the network of the DC ASs');
    const { localMbEndpoint, dcMedia } = created.terminations[0]!.medias[0]!;
    assert.deepEqual(
      [localMbEndpoint?.portNumber, dcMedia?.localMdc2Endpoint],
      [ue.options.port, { ip: { ipv4Addr: '127.0.0.2' }, transport: 'UDP', portNumber: dcAs.options.port }],
    );
    await rig.delete('ctx1');
    assert.deepEqual(rig.residue(), NO_RESIDUE);
  });

  test('the DC AS goes: the channel is closed, the consumer hears why, the UE keeps its association', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [overDtls()] }));
    await rig.state(key(1), 'connected');
    await rig.state(key(2), 'failed', 'HANDSHAKE_TIMEOUT');
    assert.ok(rig.engine.log.includes(`resetStream ${key(1)}`), rig.engine.log.join('\n'));
    assert.deepEqual(
      rig.events.map(({ terminationId, mediaId, state, reason }) => [terminationId, mediaId, state, reason]),
      [
        ['served', 'm3', 'connected', undefined],
        ['served', 'm3', 'failed', 'MDC2: HANDSHAKE_TIMEOUT'],
      ],
    );
    assert.ok(rig.engine.associations.has(key(1)) && !rig.engine.associations.has(key(2)));
    await rig.delete('ctx1');
    assert.deepEqual(rig.residue(), NO_RESIDUE);
  });

  test('the DC AS was gone before the UE came: the channel is closed as soon as it could be used', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [overDtls()] }));
    await rig.state(key(2), 'failed', 'FINGERPRINT_MISMATCH');
    rig.engine.log.length = 0;
    await rig.state(key(1), 'connected');
    assert.ok(rig.engine.log.includes(`resetStream ${key(1)}`), rig.engine.log.join('\n'));
  });

  test('the UE goes: the DC AS sees its channel closed', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [overDtls()] }));
    await rig.state(key(1), 'closed', 'PEER_GONE');
    assert.ok(rig.engine.log.includes(`resetStream ${key(2)}`), rig.engine.log.join('\n'));
  });

  test('a new association of the UE (R12) leaves the one with the DC AS alone', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [overDtls()] }));
    for (const one of [1, 2]) await rig.state(key(one), 'connected');
    const renewed = { ...remoteDc(), tlsId: 'peer-A-tls-id-000002' };
    await rig.patch('ctx1', [
      { op: 'replace', path: '/terminations/0/medias/0/dcMedia/remoteDcEndpoint', value: renewed },
    ]);
    await rig.state(key(3), 'connected');
    assert.deepEqual([...rig.engine.associations.keys()], [key(2), key(3)]);
    assert.deepEqual([...rig.engine.associations.get(key(2))!.routes], [[STREAM, `${key(3)} ${STREAM}`]]);
  });
});

describe('a DC AS that is done (DTLS)', () => {
  const lineOf = (...ids: number[]) => {
    const media = overDtls();
    media.dcMedia!.streams = Object.fromEntries(ids.map((streamId) => [String(streamId), { streamId }]));
    return media;
  };
  /** The peer of one association resets a stream; the relay ends the other half. */
  const reset = async (rig: Rig, streamId: number, first: number, then: number, reason = 'PEER_RESET_STREAM') => {
    for (const one of [first, then]) rig.engine.emit('stream', { key: key(one), streamId, state: 'closed', reason });
    await rig.settle();
    return rig.events.filter(({ state }) => state === 'serverClosed').map((e) => `${e.terminationId} ${e.mediaId}`);
  };

  // conformance: 23.228 AC.7.2.2 — a DC AS hangs up over DTLS: it resets its stream before its UE does
  test('the consumer hears of it with the last channel of the medium', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [lineOf(1000, 1002)] }));
    assert.deepEqual(await reset(rig, 1000, 2, 1), []);
    assert.deepEqual(await reset(rig, 1002, 2, 1), ['served m3']);
  });

  test('what the UE closed, or the MF, is not done by the DC AS', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [lineOf(1000, 1002, 1004)] }));
    assert.deepEqual(await reset(rig, 1000, 1, 2), [], 'by the UE');
    assert.deepEqual(await reset(rig, 1002, 2, 1, 'SLOW_READER'), [], 'by the MF');
    assert.deepEqual(await reset(rig, 1004, 2, 1), [], 'by the DC AS, but not the last');
    assert.deepEqual(await reset(rig, 1000, 2, 1), [], 'over already');
  });

  test('a channel that is taken out and offered again is a new one, whoever closed it', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [lineOf(1000, 1002)] }));
    await reset(rig, 1000, 1, 2);
    const path = '/terminations/0/medias/0/dcMedia/streams/1000';
    await rig.patch('ctx1', [{ op: 'remove', path }]);
    await rig.patch('ctx1', [{ op: 'add', path, value: { streamId: 1000 } }]);
    assert.deepEqual(await reset(rig, 1002, 2, 1), []);
    assert.deepEqual(await reset(rig, 1000, 2, 1), ['served m3']);
  });

  test('between two users (P2A2P): when both have none left', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [lineOf(1000)], remote: [lineOf(1000)] }));
    const towards = (leg: string) =>
      [...rig.engine.associations].findIndex(
        ([, { routes }]) => routes.get(STREAM) === `${key(Number(leg))} ${STREAM}`,
      ) + 1;
    const [served, remote] = [towards('1'), towards('2')].map((n) => (n > 0 ? n : 0));
    assert.ok(served! > 0 && remote! > 0, [...rig.engine.associations.keys()].join());
    assert.deepEqual(await reset(rig, 1000, served!, 1), []);
    assert.deepEqual(await reset(rig, 1000, remote!, 2), ['remote m3']);
  });
});

describe('a DC AS that is done (WebSocket)', () => {
  const EVENTS = { imsdc: { eventUri: 'http://127.0.0.1:1/events' } };
  const overWebSocket = (...ids: number[]) =>
    line({ ...EVENTS, streams: Object.fromEntries(ids.map((streamId) => [String(streamId), { streamId }])) });
  const close = async (rig: Rig, n: number, streamId: number) => {
    rig.contexts.closedByServer({ key: key(n), streamId });
    await rig.settle();
    return rig.events.map(({ terminationId, mediaId, state }) => `${terminationId} ${mediaId} ${state}`);
  };

  // conformance: 23.228 AC.7.2.2 — a DC AS hangs up: the MF says so with the last channel of the line
  test('the consumer hears of it with the last channel of the medium', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [overWebSocket(1000, 1002)] }));
    assert.deepEqual(await close(rig, 1, 1000), []);
    assert.deepEqual(await close(rig, 9, 1002), [], 'no association of ours');
    assert.deepEqual(await close(rig, 1, 1004), [], 'no channel of the medium');
    assert.deepEqual(await close(rig, 1, 1002), ['served m3 serverClosed']);
  });

  test('in two terminations (P2A2P): when both users have none left', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [overWebSocket(1000)], remote: [overWebSocket(1000)] }));
    assert.deepEqual(await close(rig, 1, 1000), []);
    assert.deepEqual(await close(rig, 2, 1000), ['remote m3 serverClosed']);
  });

  test('a channel that is taken out and offered again is a new one', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [overWebSocket(1000, 1002)] }));
    await close(rig, 1, 1000);
    const path = '/terminations/0/medias/0/dcMedia/streams/1000';
    await rig.patch('ctx1', [{ op: 'remove', path }]);
    await rig.patch('ctx1', [{ op: 'add', path, value: { streamId: 1000 } }]);
    assert.deepEqual(await close(rig, 1, 1002), []);
    assert.deepEqual(await close(rig, 1, 1000), ['served m3 serverClosed']);
  });
});

describe('datagrams to a DC AS', () => {
  const datagrams = (mediaId = 'm3') => line({ mediaProxyConfig: 'UDP_PROXY', mdc2Protocol: 'UDP/DTLS/SCTP' }, mediaId);

  // conformance: 23.228 AC.7.2.2 — UDP_PROXY: DTLS ends at the DC AS, the MF forwards datagrams and tells both its ends
  test('a flow between the UE and the DC AS; no association', async () => {
    const rig = new Rig();
    const created = await rig.create(context({ served: [datagrams()] }));
    const { options } = rig.engine.flows.get(key(1))!;
    assert.deepEqual([options.a.remote?.port, options.b.remote], [50_000, { address: '127.0.0.7', port: 5_555 }]);
    assert.deepEqual([options.a.bindAddress, options.b.bindAddress], ['127.0.0.1', '127.0.0.2']);
    const { localMbEndpoint, dcMedia } = created.terminations[0]!.medias[0]!;
    assert.equal(localMbEndpoint?.portNumber, options.a.port);
    assert.deepEqual(dcMedia?.localMdc2Endpoint, {
      ip: { ipv4Addr: '127.0.0.2' },
      transport: 'UDP',
      portNumber: options.b.port,
    });
    assert.equal(dcMedia?.localDcEndpoint, undefined);
    assert.equal(rig.engine.associations.size, 0);
    await rig.delete('ctx1');
    assert.deepEqual(rig.residue(), NO_RESIDUE);
  });

  test('the UE is told of later, and may move', async () => {
    const rig = new Rig();
    const { remoteMbEndpoint: _, ...withheld } = datagrams();
    await rig.create(context({ served: [withheld] }));
    assert.equal(rig.engine.flows.get(key(1))!.options.a.remote, undefined);
    const path = '/terminations/0/medias/0/remoteMbEndpoint';
    await rig.patch('ctx1', [{ op: 'add', path, value: endpoint(50_010) }]);
    assert.equal(rig.engine.flows.get(key(1))!.options.a.remote?.port, 50_010);
  });

  // conformance: 23.228 AC.7.2.3 — the same medium in two terminations: each has its own way to the DC AS
  test('in two terminations: two flows', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [datagrams()], remote: [datagrams()] }));
    assert.equal(rig.engine.flows.size, 2);
    await rig.delete('ctx1');
    assert.deepEqual(rig.residue(), NO_RESIDUE);
  });
});
