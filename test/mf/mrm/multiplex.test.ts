import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DcMedia, MediaContext, MediaInfo, PatchItem } from '../../../src/services/nmf-mrm.ts';
import { context, endpoint, httpMedia, NO_RESIDUE, Rig, relayMedia, remoteDc, SHA_B, TLS_A, TLS_B } from '../rig.ts';

const [UE, PEER] = ['ctx1#1', 'ctx1#2'] as const;
const MULTIPLEXED = { imsdc: { localSetup: 'ACTIVE', multiplexing: true } } as const;

/** The UE's end of each part of its line: the same far end in all of them. */
const far = (dcMedia: DcMedia, more: Partial<MediaInfo> = {}): Pick<MediaInfo, 'dcMedia' | 'remoteMbEndpoint'> => ({
  ...more,
  remoteMbEndpoint: endpoint(50_000),
  dcMedia: { ...dcMedia, ...MULTIPLEXED, remoteDcEndpoint: remoteDc(), securitySetup: 'ACTPASS' },
});
const bootstrap = (): MediaInfo => ({ ...httpMedia('m1', 0), ...far(httpMedia('m1', 0).dcMedia!) });
const toPeer = (...ids: number[]): DcMedia => ({
  mediaProxyConfig: 'DC_APPLICATION_PROXY',
  streams: Object.fromEntries(ids.map((streamId) => [String(streamId), { streamId }])),
});
const toServer = (streamId: number): DcMedia => ({
  mediaProxyConfig: 'DC_APPLICATION_PROXY',
  remoteMdc2Endpoint: endpoint(9_000),
  mdc2Protocol: 'TCP',
  streams: { [String(streamId)]: { streamId, label: 'menu' } },
});

const add = (termination: number, entry: MediaInfo): PatchItem => ({
  op: 'add',
  path: `/terminations/${termination}/medias/-`,
  value: entry,
});
const remove = (media: number): PatchItem => ({ op: 'remove', path: `/terminations/0/medias/${media}` });

/** Bootstrap first, then a stream to the peer and one to a DC AS, as the IMS AS asks once it knows the address. */
async function divided(): Promise<{ rig: Rig; created: MediaContext; patched: MediaContext | undefined }> {
  const rig = new Rig();
  const created = await rig.create(context({ served: [bootstrap()] }));
  const localMbEndpoint = created.terminations[0]!.medias[0]!.localMbEndpoint!;
  const part = (mediaId: string, dcMedia: DcMedia): MediaInfo => ({
    mediaId,
    mediaResourceType: 'DC',
    ...far(dcMedia, { localMbEndpoint }),
    localMbEndpoint,
  });
  const peer: MediaInfo = {
    ...relayMedia('d-peer', 1000),
    remoteMbEndpoint: endpoint(50_004),
    dcMedia: { ...toPeer(1000, 1002), remoteDcEndpoint: remoteDc(SHA_B, TLS_B), securitySetup: 'PASSIVE' },
  };
  const patched = await rig.patch('ctx1', [
    add(0, part('d-peer', toPeer(1000, 1002))),
    add(0, part('d-server', toServer(1010))),
    { op: 'add', path: '/terminations/-', value: { terminationId: 'remote', medias: [peer] } },
  ]);
  return { rig, created, patched };
}

const routesOf = (rig: Rig, key: string) => Object.fromEntries(rig.engine.associations.get(key)!.routes);
const startsOf = (rig: Rig) => rig.engine.log.filter((entry) => entry.startsWith('start '));

describe('Nmf_MRM: one association with several far ends', () => {
  // conformance: 23.228 Annex AC (multiplexing) — the MF ends the multiplex and routes per stream
  test('one association of the UE, and each stream goes its own way', async () => {
    const { rig, created, patched } = await divided();
    assert.deepEqual([...rig.engine.associations.keys()], [UE, PEER]);
    assert.deepEqual(startsOf(rig), [`start ${UE}`, `start ${PEER}`]);
    const routes = routesOf(rig, UE);
    assert.deepEqual(Object.keys(routes), ['0', '1000', '1002', '1010']);
    assert.deepEqual([routes['1000'], routes['1002']], [`${PEER} 1000`, `${PEER} 1002`]);
    assert.deepEqual(routesOf(rig, PEER), { 1000: `${UE} 1000`, 1002: `${UE} 1002` });
    assert.deepEqual([...rig.served.keys()], [`${UE} 0`]);
    assert.deepEqual([...rig.applications.keys()], [`${UE} 1010`]);
    const told = patched!.terminations[0]!.medias;
    const first = created.terminations[0]!.medias[0]!;
    for (const { dcMedia, localMbEndpoint } of told) {
      assert.deepEqual(localMbEndpoint, first.localMbEndpoint);
      assert.equal(dcMedia!.localDcEndpoint!.tlsId, first.dcMedia!.localDcEndpoint!.tlsId);
    }
  });

  // conformance: R13 — a line that may be joined has the streams for it from INIT
  test('the bootstrap association of a UE that multiplexes has room for applications', async () => {
    const { rig } = await divided();
    assert.equal(rig.engine.associations.get(UE)!.started!.streams, 1_024);
    const plain = new Rig();
    const alone = bootstrap();
    await plain.create(
      context({ served: [{ ...alone, dcMedia: { ...alone.dcMedia!, imsdc: { localSetup: 'ACTIVE' } } }] }),
    );
    assert.equal(plain.engine.associations.get(UE)!.started!.streams, 112);
  });

  test('a far end goes: the other streams are not touched', async () => {
    const { rig } = await divided();
    rig.engine.log.length = 0;
    await rig.patch('ctx1', [remove(2)]);
    assert.deepEqual(Object.keys(routesOf(rig, UE)), ['0', '1000', '1002']);
    assert.equal(rig.applications.size, 0);
    await rig.patch('ctx1', [remove(1), { op: 'remove', path: '/terminations/1' }]);
    assert.deepEqual(Object.keys(routesOf(rig, UE)), ['0']);
    assert.deepEqual([...rig.engine.associations.keys()], [UE]);
    const touched = rig.engine.log.filter((entry) => entry.includes(UE)).map((entry) => entry.split(' ')[0]);
    assert.ok(
      touched.every((operation) => operation === 'setStreams' || operation === 'route'),
      touched.join(),
    );
  });

  test('what it was made for goes first: the association stays for the others', async () => {
    const { rig } = await divided();
    await rig.patch('ctx1', [remove(0)]);
    assert.deepEqual(Object.keys(routesOf(rig, UE)), ['1000', '1002', '1010']);
    assert.deepEqual(startsOf(rig).length, 2, 'nothing was started anew');
    await rig.patch('ctx1', [remove(0), { op: 'remove', path: '/terminations/1' }]);
    assert.deepEqual(Object.keys(routesOf(rig, UE)), ['1010']);
    await rig.delete('ctx1');
    assert.deepEqual(rig.residue(), NO_RESIDUE);
  });

  // conformance: R12 — one new association for all of it
  test('a new tls-id in every entry renews it once', async () => {
    const { rig } = await divided();
    await rig.state(UE, 'connected');
    const patched = await rig.patch(
      'ctx1',
      [0, 1, 2].map((media) => ({
        op: 'replace' as const,
        path: `/terminations/0/medias/${media}/dcMedia/remoteDcEndpoint`,
        value: remoteDc(undefined, TLS_A.replace('A', 'Z')),
      })),
    );
    const ports = patched!.terminations[0]!.medias.map(({ localMbEndpoint }) => localMbEndpoint!.portNumber);
    assert.equal(new Set(ports).size, 1);
    assert.deepEqual([...rig.engine.associations.keys()], [UE, PEER, 'ctx1#3']);
    await rig.state('ctx1#3', 'connected');
    assert.deepEqual([...rig.engine.associations.keys()], [PEER, 'ctx1#3']);
    assert.deepEqual(routesOf(rig, PEER), { 1000: 'ctx1#3 1000', 1002: 'ctx1#3 1002' });
  });

  test('a stream in two of its media is refused with its place', async () => {
    const { created, rig } = await divided();
    const { localMbEndpoint } = created.terminations[0]!.medias[0]!;
    const twice: MediaInfo = { mediaId: 'd-x', mediaResourceType: 'DC', ...far(toServer(1000)) };
    await assert.rejects(rig.patch('ctx1', [add(0, { ...twice, localMbEndpoint: localMbEndpoint! })]), {
      code: 'MF_CONTEXT_INVALID',
      message: /streams\/1000 is in two media of one association/,
    });
    assert.deepEqual(Object.keys(routesOf(rig, UE)), ['0', '1000', '1002', '1010']);
  });
});
