import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONNECT_LIMIT_MS } from '../../../src/mf/mrm/contexts.ts';
import type { MediaInfo, PatchItem } from '../../../src/services/nmf-mrm.ts';
import { context, endpoint, httpMedia, NO_RESIDUE, Rig, relayMedia, remoteDc, SHA_B, TLS_B } from '../rig.ts';

const EVENT_URI = 'http://127.0.0.1:1/events';
const key = (n: number) => `ctx1#${n}`;

/** A line that starts at once and reports to EVENT_URI. */
function started(make: typeof httpMedia, mediaId: string, streamId: number, port = 50_000): MediaInfo {
  const media = make(mediaId, streamId, { remoteMbEndpoint: endpoint(port) });
  Object.assign(media.dcMedia!, {
    remoteDcEndpoint: remoteDc(),
    securitySetup: 'ACTPASS',
    imsdc: { eventUri: EVENT_URI },
  });
  return media;
}
const bootstrap = () => context({ served: [started(httpMedia, 'm1', 0)] });
const relay = () =>
  context({ served: [started(relayMedia, 'm2', 1_000)], remote: [started(relayMedia, 'm2', 1_000, 50_002)] });

describe('leases', () => {
  // conformance: R25 — the owner's lease is 60 s, renewed by any request or ping
  test('contexts of a silent owner are freed after 60 s, those of others stay', async () => {
    const rig = new Rig();
    await rig.create(bootstrap());
    await rig.create(relay(), { peer: 'as2' });
    rig.nowMs += 59_000;
    rig.contexts.alive('as2');
    rig.contexts.tick();
    rig.nowMs += 1_001;
    rig.contexts.tick();
    await rig.settle();
    assert.equal(rig.contexts.size, 1);
    await assert.rejects(rig.delete('ctx1'), { code: 'MF_CONTEXT_NOT_FOUND' });
    // Any request renews it, too, and not only for the context that it names.
    rig.nowMs += 50_000;
    await rig.patch('ctx2', [{ op: 'test', path: '/contextId', value: 'ctx2' }], { peer: 'as2' });
    rig.nowMs += 50_000;
    rig.contexts.tick();
    assert.equal(rig.contexts.size, 1);
    await rig.delete('ctx2', { peer: 'as2' });
    assert.deepEqual(rig.residue(), NO_RESIDUE);
  });

  test('whoever asks owns the context from then on: a fail-over of the AS', async () => {
    const rig = new Rig();
    await rig.create(bootstrap());
    await rig.patch('ctx1', [{ op: 'test', path: '/contextId', value: 'ctx1' }], { peer: 'as2' });
    rig.nowMs += 59_000;
    rig.contexts.alive('as2');
    rig.nowMs += 59_000;
    rig.contexts.tick();
    await rig.settle();
    assert.equal(rig.contexts.size, 1);
    assert.equal(rig.contexts.owners, 1);
  });

  test('leaseMs 0: a lease never ends', async () => {
    const rig = new Rig({ leaseMs: 0 });
    await rig.create(bootstrap());
    rig.nowMs += 1e9;
    rig.contexts.tick();
    await rig.settle();
    assert.equal(rig.contexts.size, 1);
  });
});

describe('idempotency', () => {
  // conformance: R26 — a repeated request is executed once
  test('a repeated POST gives the same context, also while the first is at work', async () => {
    const rig = new Rig();
    const info = { idempotencyKey: 'k1' };
    const [first, second] = await Promise.all([rig.create(bootstrap(), info), rig.create(bootstrap(), info)]);
    const third = await rig.create(bootstrap(), info);
    assert.deepEqual([second, third], [first, first]);
    assert.equal(rig.contexts.size, 1);
    assert.notEqual((await rig.create(bootstrap(), { ...info, peer: 'as2' })).contextId, first.contextId);
    assert.notEqual((await rig.create(bootstrap())).contextId, first.contextId);
  });

  test('a repeated PATCH is applied once, a repeated DELETE is no error', async () => {
    const rig = new Rig();
    await rig.create(bootstrap());
    const add: PatchItem[] = [{ op: 'add', path: '/terminations/0/medias/-', value: httpMedia('m2', 100) }];
    const first = await rig.patch('ctx1', add, { idempotencyKey: 'p1' });
    assert.deepEqual(await rig.patch('ctx1', add, { idempotencyKey: 'p1' }), first);
    assert.equal(rig.engine.associations.size, 2);
    await rig.delete('ctx1', { idempotencyKey: 'd1' });
    await rig.delete('ctx1', { idempotencyKey: 'd1' });
    await assert.rejects(rig.delete('ctx1', { idempotencyKey: 'd2' }), { code: 'MF_CONTEXT_NOT_FOUND' });
  });
});

describe('one context, many at once', () => {
  test('requests take turns; too many are refused', async () => {
    const rig = new Rig();
    await rig.create(bootstrap());
    let open: () => void = () => undefined;
    rig.engine.gate = new Promise((resolve) => {
      open = resolve;
    });
    const patches = Array.from({ length: 20 }, (_, i) =>
      rig
        .patch('ctx1', [{ op: 'add', path: '/terminations/0/medias/-', value: httpMedia(`x${i}`, 100) }])
        .then(() => 'done')
        .catch((error: { code: string }) => error.code),
    );
    const gone = rig.delete('ctx1');
    open();
    const outcomes = await Promise.all(patches);
    await gone;
    assert.equal(outcomes.filter((outcome) => outcome === 'done').length, 16);
    assert.equal(outcomes.filter((outcome) => outcome === 'MF_CONTEXT_BUSY').length, 4);
    assert.deepEqual(rig.residue(), NO_RESIDUE);
    await assert.rejects(rig.patch('ctx1', [{ op: 'remove', path: '/x' }]), { code: 'MF_CONTEXT_NOT_FOUND' });
  });

  test('events that come before the engine has answered are not lost', async () => {
    const rig = new Rig();
    const start = rig.engine.start.bind(rig.engine);
    rig.engine.start = async (k, remote) => {
      await start(k, remote);
      rig.engine.emit('state', { key: k, state: 'failed', reason: 'HANDSHAKE_FAILED' });
    };
    await rig.create(bootstrap());
    await rig.settle();
    assert.deepEqual(
      rig.events.map(({ state, reason }) => [state, reason]),
      [['failed', 'HANDSHAKE_FAILED']],
    );
    assert.equal(rig.engine.associations.size, 0);
  });
});

describe('loss', () => {
  // conformance: R25 — an association that fails is freed and reported; the context stays until DELETE
  test('a failed association is released, reported, and not tried again by itself', async () => {
    const rig = new Rig();
    const created = await rig.create(relay());
    await rig.state(key(1), 'connected');
    await rig.state(key(2), 'failed', 'PEER_GONE');
    const about = { uri: EVENT_URI, contextId: 'ctx1', mediaId: 'm2' };
    assert.deepEqual(rig.events, [
      { ...about, terminationId: 'served', state: 'connected' },
      { ...about, terminationId: 'remote', state: 'failed', reason: 'PEER_GONE' },
    ]);
    assert.deepEqual([...rig.engine.associations.keys()], [key(1)]);
    // What comes for it now goes nowhere.
    assert.deepEqual([...rig.engine.associations.get(key(1))!.routes], []);
    assert.equal(rig.ports.taken, 1);
    const port = created.terminations[1]!.medias[0]!.localMbEndpoint!.portNumber;
    // A patch of something else leaves it failed; another far end starts it anew, on another port.
    await rig.patch('ctx1', [{ op: 'add', path: '/terminations/0/medias/-', value: httpMedia('h', 0) }]);
    assert.equal(rig.engine.associations.size, 2);
    const again = await rig.patch('ctx1', [
      { op: 'replace', path: '/terminations/1/medias/0/dcMedia/remoteDcEndpoint', value: remoteDc(SHA_B, TLS_B) },
    ]);
    assert.notEqual(again!.terminations[1]!.medias[0]!.localMbEndpoint!.portNumber, port);
    assert.equal(rig.engine.associations.size, 3);
    assert.deepEqual([...rig.engine.associations.get(key(1))!.routes], [[1_000, `${key(4)} 1000`]]);
    await rig.delete('ctx1');
    assert.deepEqual(rig.residue(), NO_RESIDUE);
  });

  // conformance: R5, R25 — a UE that never sends ClientHello: 60 s, then the association is freed
  test('an association that does not come up within 60 s has failed', async () => {
    const rig = new Rig();
    await rig.create(relay());
    await rig.state(key(1), 'connected');
    rig.nowMs += CONNECT_LIMIT_MS - 1;
    rig.contexts.tick();
    await rig.settle();
    assert.equal(rig.engine.associations.size, 2);
    rig.contexts.alive('as1');
    rig.nowMs += 1;
    rig.contexts.tick();
    await rig.settle();
    assert.deepEqual([...rig.engine.associations.keys()], [key(1)]);
    assert.deepEqual(rig.events.at(-1), {
      uri: EVENT_URI,
      contextId: 'ctx1',
      terminationId: 'remote',
      mediaId: 'm2',
      state: 'failed',
      reason: 'HANDSHAKE_TIMEOUT',
    });
    assert.equal(rig.contexts.size, 1);
  });

  // conformance: R25 — a lost worker takes whole contexts; every medium is reported
  test('a worker that ends loses its contexts and no others', async () => {
    const rig = new Rig();
    await rig.create(relay());
    await rig.create(bootstrap());
    rig.engine.lose([key(1), key(2)]);
    await rig.settle();
    assert.deepEqual(
      rig.events.map(({ terminationId, state, reason }) => [terminationId, state, reason]),
      [
        ['served', 'failed', 'workerExit'],
        ['remote', 'failed', 'workerExit'],
      ],
    );
    assert.deepEqual(rig.contexts.count(), { associations: 1, flows: 0, lost: 1 });
    assert.equal(rig.ports.taken, 1);
    await rig.delete('ctx1');
    await rig.delete('ctx2');
    assert.deepEqual(rig.residue(), NO_RESIDUE);
  });

  test('a datagram flow that is lost is reported for both legs', async () => {
    const rig = new Rig();
    const udp = () => {
      const media = relayMedia('m2', 1_000);
      media.dcMedia = { ...media.dcMedia!, mediaProxyConfig: 'UDP_PROXY', imsdc: { eventUri: EVENT_URI } };
      return media;
    };
    await rig.create(context({ served: [udp()], remote: [udp()] }));
    rig.engine.lose([key(1)]);
    await rig.settle();
    assert.deepEqual(
      rig.events.map(({ terminationId }) => terminationId),
      ['served', 'remote'],
    );
    assert.equal(rig.ports.taken, 0);
  });

  test('the predecessor goes when it fails by itself, and stays when its successor does', async () => {
    for (const fails of [1, 2]) {
      const rig = new Rig();
      await rig.create(bootstrap());
      await rig.state(key(1), 'connected');
      await rig.patch('ctx1', [
        { op: 'replace', path: '/terminations/0/medias/0/dcMedia/remoteDcEndpoint/tlsId', value: TLS_B },
      ]);
      await rig.state(key(fails), 'failed', 'PEER_GONE');
      assert.equal(rig.engine.associations.has(key(3 - fails)), true, `when ${fails} fails`);
      await rig.delete('ctx1');
      assert.deepEqual(rig.residue(), NO_RESIDUE, `when ${fails} fails`);
    }
  });

  test('close releases everything', async () => {
    const rig = new Rig();
    await rig.create(relay());
    await rig.create(bootstrap());
    await rig.contexts.close();
    assert.deepEqual(rig.residue(), NO_RESIDUE);
  });
});
