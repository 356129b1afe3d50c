import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { MediaContext, MediaInfo, PatchItem } from '../../../src/services/nmf-mrm.ts';
import { refuse } from '../fake-engine.ts';
import {
  context,
  endpoint,
  httpMedia,
  NO_RESIDUE,
  Rig,
  relayMedia,
  remoteDc,
  SHA_A,
  SHA_B,
  TLS_A,
  TLS_B,
} from '../rig.ts';

const media = (document: MediaContext, termination = 0, index = 0): MediaInfo =>
  document.terminations[termination]!.medias[index]!;
const at = (termination: number, index = 0) => `/terminations/${termination}/medias/${index}`;
const key = (n: number) => `ctx1#${n}`;

/** A bootstrap line whose far end is known. */
const answered = (mediaId = 'm1', streamId = 0, more: Partial<MediaInfo> = {}) =>
  httpMedia(mediaId, streamId, {
    remoteMbEndpoint: endpoint(50_000),
    ...more,
    dcMedia: {
      streams: {},
      ...httpMedia(mediaId, streamId).dcMedia,
      remoteDcEndpoint: remoteDc(),
      securitySetup: 'ACTPASS',
      ...more.dcMedia,
    },
  });

/** Both legs of a relayed application channel, both far ends known. */
const relayed = () =>
  context({
    served: [
      relayMedia('m2', 1_000, {
        remoteMbEndpoint: endpoint(50_002),
        dcMedia: { ...relayMedia('m2', 1_000).dcMedia!, remoteDcEndpoint: remoteDc(), securitySetup: 'ACTPASS' },
      }),
    ],
    remote: [
      relayMedia('m2', 1_000, {
        remoteMbEndpoint: endpoint(50_004),
        dcMedia: {
          ...relayMedia('m2', 1_000).dcMedia!,
          remoteDcEndpoint: remoteDc(SHA_B, TLS_B),
          securitySetup: 'PASSIVE',
        },
      }),
    ],
  });

/** One side of a datagram flow. */
function udp(remotePort?: number) {
  const entry = relayMedia('m2', 1_000, remotePort === undefined ? {} : { remoteMbEndpoint: endpoint(remotePort) });
  entry.dcMedia!.mediaProxyConfig = 'UDP_PROXY';
  return entry;
}

describe('Nmf_MRM create', () => {
  // conformance: R2, R5 — a bootstrap line ends at the MF; ports at POST, DTLS when the far end is known
  test('reserves at POST and starts at the PATCH that brings the far end', async () => {
    const rig = new Rig();
    const created = await rig.create(context({ served: [httpMedia('m1', 0)] }));
    assert.equal(created.contextId, 'ctx1');
    assert.deepEqual(media(created).localMbEndpoint, {
      ip: { ipv4Addr: '192.0.2.1' },
      transport: 'UDP',
      portNumber: 40_000,
    });
    const { localDcEndpoint, securitySetup, maxMessageSize, localMdc1Endpoint } = media(created).dcMedia!;
    assert.equal(localDcEndpoint!.sctpPort, 5_000);
    assert.match(localDcEndpoint!.fingerprint!, /^SHA-256 C3:/);
    assert.equal(localDcEndpoint!.tlsId, 'our-tls-id-000000001');
    assert.equal(securitySetup, 'ACTPASS');
    assert.equal(maxMessageSize, 64);
    assert.deepEqual(localMdc1Endpoint!.ip, { ipv4Addr: '127.0.0.1' });
    assert.equal(rig.engine.associations.get(key(1))!.started, undefined);
    assert.deepEqual([...rig.engine.associations.get(key(1))!.routes], [[0, 'payload']]);
    assert.equal(rig.served.get('ctx1#1 0')!.replaceHttpUrl, 'http://127.0.0.1:8080/bdc/token/');

    const patched = await rig.patch('ctx1', [
      { op: 'test', path: '/terminations/0/terminationId', value: 'served' },
      { op: 'add', path: `${at(0)}/dcMedia/remoteDcEndpoint`, value: { ...remoteDc(), securitySetup: 'PASSIVE' } },
      { op: 'add', path: `${at(0)}/remoteMbEndpoint`, value: endpoint(50_000) },
    ]);
    assert.equal(media(patched!).dcMedia!.securitySetup, 'ACTIVE');
    assert.equal(media(patched!).dcMedia!.localDcEndpoint!.tlsId, 'our-tls-id-000000001');
    const { started, streams } = rig.engine.associations.get(key(1))!;
    assert.deepEqual(started, {
      address: '127.0.0.1',
      port: 50_000,
      sctpPort: 5_000,
      fingerprints: [SHA_A],
      role: 'active',
      maxMessageSizeBytes: 65_536,
      streams: 112,
      ice: false,
      natLatch: false,
      pinhole: false,
    });
    assert.deepEqual(
      streams.map(({ streamId, ordered }) => [streamId, ordered]),
      [[0, true]],
    );
    // Streams and routes come first, so that no early message is lost.
    assert.deepEqual(rig.engine.log, [
      `reserve ${key(1)}`,
      `setStreams ${key(1)}`,
      `route ${key(1)}`,
      `start ${key(1)}`,
    ]);
    await rig.delete('ctx1');
    assert.deepEqual(rig.residue(), NO_RESIDUE);
  });

  // conformance: R2, R3 — the same mediaId in two terminations is relayed
  test('relays a mediaId that is in two terminations', async () => {
    const rig = new Rig();
    const created = await rig.create(relayed());
    assert.equal(media(created, 0).dcMedia!.securitySetup, 'ACTIVE');
    assert.equal(media(created, 1).dcMedia!.securitySetup, 'ACTIVE');
    const [a, b] = [rig.engine.associations.get(key(1))!, rig.engine.associations.get(key(2))!];
    assert.equal(a.group, 'ctx1');
    assert.equal(b.group, 'ctx1');
    assert.deepEqual([...a.routes], [[1_000, `${key(2)} 1000`]]);
    assert.deepEqual([...b.routes], [[1_000, `${key(1)} 1000`]]);
    assert.equal(a.started!.streams, 1_024);
    assert.equal(b.started!.role, 'active');
  });

  // conformance: R3 — alpha vocabulary: UDP with remoteDcEndpoint is e2DCe, without it datagrams
  test('reads both vocabularies', async () => {
    const rig = new Rig();
    const alpha = structuredClone(relayed());
    for (const { medias } of alpha.terminations) medias[0]!.dcMedia!.mediaProxyConfig = 'UDP';
    await rig.create(alpha);
    assert.equal(rig.engine.associations.size, 2);
    const flow = context({
      served: [{ ...relayMedia('m2', 1_000, { remoteMbEndpoint: endpoint(50_002) }) }],
      remote: [relayMedia('m2', 1_000)],
    });
    for (const { medias } of flow.terminations) medias[0]!.dcMedia!.mediaProxyConfig = 'UDP';
    const created = await rig.create(flow);
    assert.equal(rig.engine.flows.size, 1);
    assert.equal(media(created).dcMedia!.localDcEndpoint, undefined);
    assert.equal(media(created).localMbEndpoint!.portNumber, 40_002);
    assert.equal(media(created, 1).localMbEndpoint!.portNumber, 40_003);
  });

  // conformance: R10 — e2e datagrams: local addresses only, remotes by PATCH
  test('sets up and moves a datagram flow', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [udp(50_002)], remote: [udp()] }));
    const { options } = rig.engine.flows.get(key(1))!;
    assert.deepEqual(options.a.remote, { address: '127.0.0.1', port: 50_002 });
    assert.equal(options.b.remote, undefined);
    await rig.patch('ctx1', [{ op: 'add', path: `${at(1)}/remoteMbEndpoint`, value: endpoint(50_004) }]);
    assert.deepEqual(rig.engine.flows.get(key(1))!.options.b.remote, { address: '127.0.0.1', port: 50_004 });
    assert.equal(rig.engine.flows.get(key(1))!.options.b.port, options.b.port);
    await rig.delete('ctx1');
    assert.deepEqual(rig.residue(), NO_RESIDUE);
  });

  // conformance: R4 — localSetup, ICE and exact sizes in the vendor member, which only those get who sent it
  test('follows the vendor extension', async () => {
    const rig = new Rig();
    const asked = answered('m1', 0, {
      dcMedia: { streams: {}, imsdc: { localSetup: 'PASSIVE', ice: true, maxMessageSizeBytes: 1_024 } },
    });
    Object.assign(asked.dcMedia!, {
      ...httpMedia('m1', 0).dcMedia,
      remoteDcEndpoint: remoteDc(),
      securitySetup: 'ACTPASS',
    });
    const created = await rig.create(context({ served: [asked], other: [httpMedia('m2', 0)] }));
    const { imsdc, maxMessageSize, securitySetup } = media(created).dcMedia!;
    assert.equal(securitySetup, 'PASSIVE');
    assert.deepEqual(imsdc, {
      localSetup: 'PASSIVE',
      ice: true,
      maxMessageSizeBytes: 65_536,
      iceUfrag: 'ufrag',
      icePwd: 'password-of-ice-22-chars',
    });
    assert.equal(maxMessageSize, 64);
    assert.equal(media(created, 1).dcMedia!.imsdc, undefined);
    const { started } = rig.engine.associations.get(key(1))!;
    assert.equal(started!.maxMessageSizeBytes, 1_024);
    assert.equal(started!.role, 'passive');
    // With ICE the peer's own checks open the gates.
    assert.equal(started!.pinhole, false);
    assert.equal(started!.ice, true);
    // A patch elsewhere must not take our own 65,536 for the peer's.
    await rig.patch('ctx1', [{ op: 'replace', path: `${at(0)}/remoteMbEndpoint/portNumber`, value: 50_001 }]);
    assert.equal(rig.engine.associations.get(key(1))!.started!.maxMessageSizeBytes, 1_024);
  });

  // conformance: R11 — a relay advertises no more than its far end takes
  test('advertises the smaller size on a relay', async () => {
    const rig = new Rig();
    const document = relayed();
    media(document, 1).dcMedia!.maxMessageSize = 1;
    const created = await rig.create(document);
    assert.equal(media(created, 0).dcMedia!.maxMessageSize, 1);
    assert.equal(media(created, 1).dcMedia!.maxMessageSize, 64);
    assert.equal(rig.engine.associations.get(key(2))!.started!.maxMessageSizeBytes, 1_024);
  });

  // conformance: R13 — streams fixed at INIT; what the engine cannot open is left out of the response
  test('sizes streams and leaves out those that cannot be opened', async () => {
    const rig = new Rig();
    rig.engine.capabilities = { ...rig.engine.capabilities, maxStreamId: 1_023 };
    const document = relayed();
    for (const { medias } of document.terminations) {
      medias[0]!.dcMedia!.streams = { 1000: { streamId: 1_000 }, 38754: { streamId: 38_754 } };
    }
    const created = await rig.create(document);
    assert.deepEqual(Object.keys(media(created).dcMedia!.streams), ['1000']);
    assert.equal(
      (await rig.patch('ctx1', [{ op: 'remove', path: `${at(0)}/dcMedia/streams/38754` }]))!.contextId,
      'ctx1',
    );
    const hopeless = relayed();
    for (const { medias } of hopeless.terminations) medias[0]!.dcMedia!.streams = { 2000: { streamId: 2_000 } };
    await assert.rejects(rig.create(hopeless), { code: 'MF_NO_STREAMS' });
    assert.equal(rig.engine.associations.size, 2);
  });

  // conformance: ue-side 2.7 — the MF routes per (association, stream id), never per m-line
  test('several media on one port are one association with several far ends', async () => {
    const rig = new Rig();
    const port = endpoint(9_999, '192.0.2.1');
    const shared = (mediaId: string, streamId: number) => ({ ...answered(mediaId, streamId), localMbEndpoint: port });
    const created = await rig.create(context({ served: [shared('m1', 0), shared('m2', 100)] }));
    assert.equal(rig.engine.associations.size, 1);
    assert.equal(media(created, 0, 0).localMbEndpoint!.portNumber, media(created, 0, 1).localMbEndpoint!.portNumber);
    assert.deepEqual([...rig.engine.associations.get(key(1))!.routes.keys()], [0, 100]);
    // The first one goes: the association stays, for the other.
    assert.equal(await rig.patch('ctx1', [{ op: 'remove', path: at(0) }]), undefined);
    await rig.patch('ctx1', [{ op: 'test', path: `${at(0)}/mediaId`, value: 'm2' }]);
    assert.deepEqual([...rig.engine.associations.get(key(1))!.routes.keys()], [100]);
    assert.deepEqual(
      rig.engine.associations.get(key(1))!.streams.map(({ streamId }) => streamId),
      [100],
    );
  });
});

describe('Nmf_MRM create: bad input', () => {
  const refused = async (document: MediaContext, param: string) => {
    const rig = new Rig();
    await assert.rejects(rig.create(document), (error: { code: string; details: { param: string } }) => {
      assert.equal(error.code, 'MF_CONTEXT_INVALID');
      assert.equal(error.details.param, param);
      return true;
    });
    assert.deepEqual(rig.residue(), NO_RESIDUE);
    assert.deepEqual(rig.engine.log, []);
  };
  const one = (change: (entry: MediaInfo) => void) => {
    const entry = structuredClone(answered());
    change(entry);
    return context({ served: [entry] });
  };
  const dc = '/terminations/0/medias/0/dcMedia';
  const cases: [string, MediaContext, string][] = [
    [
      'a termination twice',
      {
        terminations: [
          ...context({ served: [answered()] }).terminations,
          ...context({ served: [answered()] }).terminations,
        ],
      },
      '/terminations/1/terminationId',
    ],
    ['a medium twice', context({ served: [answered(), answered()] }), '/terminations/0/medias/1/mediaId'],
    [
      'audio',
      one((e) => {
        e.mediaResourceType = 'AUDIO';
      }),
      '/terminations/0/medias/0/mediaResourceType',
    ],
    [
      'no dcMedia',
      one((e) => {
        delete e.dcMedia;
      }),
      '/terminations/0/medias/0/dcMedia',
    ],
    [
      'an address that is none',
      one((e) => {
        e.remoteMbEndpoint = endpoint(1, '999.1.1.1');
      }),
      '/terminations/0/medias/0/remoteMbEndpoint/ip/ipv4Addr',
    ],
    [
      'no address',
      one((e) => {
        e.remoteMbEndpoint!.ip = {};
      }),
      '/terminations/0/medias/0/remoteMbEndpoint/ip',
    ],
    [
      'no fingerprint',
      one((e) => {
        delete e.dcMedia!.remoteDcEndpoint!.fingerprint;
      }),
      `${dc}/remoteDcEndpoint/fingerprint`,
    ],
    [
      'MD5',
      one((e) => {
        e.dcMedia!.remoteDcEndpoint!.fingerprint = 'MD5 AA:BB';
      }),
      `${dc}/remoteDcEndpoint/fingerprint`,
    ],
    [
      'a short fingerprint',
      one((e) => {
        e.dcMedia!.remoteDcEndpoint!.fingerprints = ['SHA-256 AA:BB'];
      }),
      `${dc}/remoteDcEndpoint/fingerprints`,
    ],
    [
      'SCTP port 0',
      one((e) => {
        e.dcMedia!.remoteDcEndpoint!.sctpPort = 0;
      }),
      `${dc}/remoteDcEndpoint/sctpPort`,
    ],
    [
      'a bad tls-id',
      one((e) => {
        e.dcMedia!.remoteDcEndpoint!.tlsId = 'short';
      }),
      `${dc}/remoteDcEndpoint/tlsId`,
    ],
    [
      'no streams',
      one((e) => {
        e.dcMedia!.streams = {};
      }),
      `${dc}/streams`,
    ],
    [
      'a stream id that is none',
      one((e) => {
        e.dcMedia!.streams = { x: { streamId: 0 } };
      }),
      `${dc}/streams/x`,
    ],
    [
      'stream 65535',
      one((e) => {
        e.dcMedia!.streams = { 65535: { streamId: 0 } };
      }),
      `${dc}/streams/65535`,
    ],
    [
      'no setup',
      one((e) => {
        delete e.dcMedia!.securitySetup;
      }),
      `${dc}/securitySetup`,
    ],
    [
      'both ends active',
      one((e) => {
        e.dcMedia!.securitySetup = 'ACTIVE';
        e.dcMedia!.imsdc = { localSetup: 'ACTIVE' };
      }),
      `${dc}/imsdc/localSetup`,
    ],
    [
      'no MDC1 endpoint',
      one((e) => {
        delete e.dcMedia!.remoteMdc1Endpoint;
      }),
      `${dc}/remoteMdc1Endpoint`,
    ],
    [
      'MDC2 over what this MF does not speak',
      one((e) => {
        e.dcMedia!.mediaProxyConfig = 'DC_APPLICATION_PROXY';
        e.dcMedia!.remoteMdc2Endpoint = endpoint(1);
        e.dcMedia!.mdc2Protocol = 'SCTP';
      }),
      `${dc}/mdc2Protocol`,
    ],
    [
      'MDC2 over DTLS with a DC AS that could be anybody',
      one((e) => {
        e.dcMedia!.mediaProxyConfig = 'DC_APPLICATION_PROXY';
        e.dcMedia!.remoteMdc2Endpoint = endpoint(1);
        e.dcMedia!.mdc2Protocol = 'UDP/DTLS/SCTP';
      }),
      `${dc}/imsdc/mdc2/dcEndpoint`,
    ],
    [
      'datagrams to a DC AS over TCP',
      one((e) => {
        e.dcMedia!.mediaProxyConfig = 'UDP_PROXY';
        e.dcMedia!.remoteMdc2Endpoint = endpoint(1);
        e.dcMedia!.mdc2Protocol = 'TCP';
      }),
      `${dc}/mdc2Protocol`,
    ],
    ...['ftp://h/', 'http://h/x', 'http://h/x/?q', 'http://u:p@h/', 'nonsense'].map(
      (url): [string, MediaContext, string] => [
        `URL ${url}`,
        one((e) => {
          e.dcMedia!.replaceHttpUrl = { 0: { streamId: 0, replaceHttpUrl: url } };
        }),
        `${dc}/replaceHttpUrl/0/replaceHttpUrl`,
      ],
    ),
    [
      'both retry and time',
      context({
        a: [
          relayMedia('m', 1_000, {
            dcMedia: {
              mediaProxyConfig: 'DC_APPLICATION_PROXY',
              streams: { 1000: { streamId: 1000, maxRetry: 0, maxTime: 0 } },
            },
          }),
        ],
      }),
      `${dc}/streams/1000/maxTime`,
    ],
    [
      'three terminations',
      context({ a: [relayMedia('m', 1_000)], b: [relayMedia('m', 1_000)], c: [relayMedia('m', 1_000)] }),
      '/terminations/2/medias/0/mediaId',
    ],
    [
      'datagrams in one termination',
      context({
        a: [
          relayMedia('m', 1_000, { dcMedia: { mediaProxyConfig: 'UDP_PROXY', streams: { 1000: { streamId: 1000 } } } }),
        ],
      }),
      '/terminations/0/medias/0/mediaId',
    ],
  ];
  // conformance: ue-side 9 — what no m-line may say, no consumer may tell the MF either: 400 with its place, nothing reserved
  for (const [name, document, param] of cases) test(name, () => refused(document, param));
});

describe('Nmf_MRM patch', () => {
  // conformance: 29.176 5.2.2.3 — Update: all or nothing, test operations guard
  test('a failed test applies nothing', async () => {
    const rig = new Rig();
    const created = await rig.create(context({ served: [answered()] }));
    const before = rig.engine.log.length;
    await assert.rejects(
      rig.patch('ctx1', [
        { op: 'replace', path: `${at(0)}/remoteMbEndpoint/portNumber`, value: 50_009 },
        { op: 'test', path: `${at(0)}/mediaId`, value: 'm9' },
      ]),
      { code: 'MF_PATCH_CONFLICT' },
    );
    assert.equal(rig.engine.log.length, before);
    assert.equal(await rig.patch('ctx1', [{ op: 'test', path: '', value: created }]), undefined);
  });

  // conformance: R25 — a patch of tests only asks whether the context lives; 404 = lost
  test('tests only: nothing changes, 404 once the worker is lost', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [answered()] }));
    const alive: PatchItem[] = [{ op: 'test', path: '/contextId', value: 'ctx1' }];
    assert.equal(await rig.patch('ctx1', alive), undefined);
    await assert.rejects(rig.patch('ctx1', [{ op: 'test', path: '/contextId', value: 'x' }]), {
      code: 'MF_PATCH_CONFLICT',
    });
    rig.engine.lose([key(1)]);
    await rig.settle();
    await assert.rejects(rig.patch('ctx1', alive), { code: 'MF_CONTEXT_NOT_FOUND' });
    await assert.rejects(rig.patch('ctx1', [{ op: 'remove', path: at(0) }]), { code: 'MF_CONTEXT_NOT_FOUND' });
    await rig.delete('ctx1');
    assert.deepEqual(rig.residue(), NO_RESIDUE);
  });

  test('a moved far end with the same tls-id is an update, not a new association', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [answered()] }));
    await rig.patch('ctx1', [{ op: 'replace', path: `${at(0)}/remoteMbEndpoint/portNumber`, value: 50_008 }]);
    assert.equal(rig.engine.associations.get(key(1))!.started!.port, 50_008);
    assert.equal(rig.engine.log.at(-1), `update ${key(1)}`);
  });

  // conformance: R12 — a new association beside the old one, which ends when the new one is up
  test('a new tls-id makes a new association beside the old one', async () => {
    const rig = new Rig();
    await rig.create(relayed());
    await rig.state(key(1), 'connected');
    await rig.state(key(2), 'connected');
    const patched = await rig.patch('ctx1', [
      { op: 'replace', path: `${at(0)}/dcMedia/remoteDcEndpoint/tlsId`, value: TLS_B },
    ]);
    assert.equal(media(patched!).localMbEndpoint!.portNumber, 40_002);
    assert.equal(media(patched!).dcMedia!.localDcEndpoint!.tlsId, 'our-tls-id-000000003');
    assert.equal(rig.engine.associations.size, 3);
    assert.deepEqual([...rig.engine.associations.get(key(2))!.routes], [[1_000, `${key(1)} 1000`]]);
    await rig.state(key(3), 'connected');
    assert.deepEqual([...rig.engine.associations.keys()], [key(2), key(3)]);
    assert.deepEqual([...rig.engine.associations.get(key(2))!.routes], [[1_000, `${key(3)} 1000`]]);
    assert.equal(rig.ports.taken, 2);
    await rig.delete('ctx1');
    assert.deepEqual(rig.residue(), NO_RESIDUE);
  });

  // conformance: R5, R12 — a re-offer with a new tls-id: new values before the answer, the start with it
  test('a new tls-id while the address is withheld gives new values at once, and starts with the address', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [answered()] }));
    const patched = await rig.patch('ctx1', [
      { op: 'remove', path: `${at(0)}/remoteMbEndpoint` },
      { op: 'replace', path: `${at(0)}/dcMedia/remoteDcEndpoint/tlsId`, value: TLS_B },
    ]);
    assert.equal(media(patched!).localMbEndpoint!.portNumber, 40_001);
    assert.equal(media(patched!).dcMedia!.localDcEndpoint!.tlsId, 'our-tls-id-000000002');
    assert.equal(rig.engine.associations.get(key(2))!.started, undefined);
    await rig.patch('ctx1', [{ op: 'add', path: `${at(0)}/remoteMbEndpoint`, value: endpoint(50_000) }]);
    assert.equal(rig.engine.associations.get(key(2))!.started!.port, 50_000);
  });

  test('an address that is only withheld changes nothing', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [answered()] }));
    await rig.state(key(1), 'connected');
    await rig.patch('ctx1', [{ op: 'remove', path: `${at(0)}/remoteMbEndpoint` }]);
    assert.deepEqual([...rig.engine.associations.keys()], [key(1)]);
  });

  test('a consumer that takes its change back gets the old association back', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [answered()] }));
    await rig.state(key(1), 'connected');
    const tlsId = `${at(0)}/dcMedia/remoteDcEndpoint/tlsId`;
    await rig.patch('ctx1', [{ op: 'replace', path: tlsId, value: TLS_B }]);
    const back = await rig.patch('ctx1', [{ op: 'replace', path: tlsId, value: TLS_A }]);
    assert.equal(media(back!).localMbEndpoint!.portNumber, 40_000);
    assert.equal(media(back!).dcMedia!.localDcEndpoint!.tlsId, 'our-tls-id-000000001');
    assert.deepEqual([...rig.engine.associations.keys()], [key(1)]);
  });

  test('fingerprint, role, SCTP port and, without tls-ids, the address ask for a new association', async () => {
    const changes: [string, PatchItem[]][] = [
      ['fingerprint', [{ op: 'replace', path: `${at(0)}/dcMedia/remoteDcEndpoint/fingerprint`, value: SHA_B }]],
      ['role', [{ op: 'replace', path: `${at(0)}/dcMedia/securitySetup`, value: 'ACTIVE' }]],
      ['SCTP port', [{ op: 'replace', path: `${at(0)}/dcMedia/remoteDcEndpoint/sctpPort`, value: 5_001 }]],
      [
        'our tls-id',
        [{ op: 'replace', path: `${at(0)}/dcMedia/localDcEndpoint/tlsId`, value: 'wished-for-tls-id-01' }],
      ],
    ];
    for (const [name, items] of changes) {
      const rig = new Rig();
      await rig.create(context({ served: [answered()] }));
      await rig.state(key(1), 'connected');
      const patched = await rig.patch('ctx1', items);
      assert.deepEqual([...rig.engine.associations.keys()], [key(1), key(2)], name);
      // Not even the successor's start and end bring the old one back.
      await rig.state(key(2), 'connected');
      assert.deepEqual([...rig.engine.associations.keys()], [key(2)], name);
      if (name === 'our tls-id') assert.equal(media(patched!).dcMedia!.localDcEndpoint!.tlsId, 'wished-for-tls-id-01');
      // RFC 5763 6.7.2: who waits opens the pinhole.
      assert.equal(rig.engine.associations.get(key(2))!.started!.pinhole, name === 'role');
      if (name === 'role') assert.equal(media(patched!).dcMedia!.securitySetup, 'PASSIVE');
    }
    const rig = new Rig();
    const plain = answered();
    plain.dcMedia!.remoteDcEndpoint = { sctpPort: 5_000, fingerprint: SHA_A };
    await rig.create(context({ served: [plain] }));
    await rig.state(key(1), 'connected');
    await rig.patch('ctx1', [{ op: 'replace', path: `${at(0)}/remoteMbEndpoint/portNumber`, value: 50_008 }]);
    assert.equal(rig.engine.associations.size, 2);
  });

  test('a repeated actpass keeps the role, and a tls-id that comes back is the old one', async () => {
    const rig = new Rig();
    const passive = answered();
    passive.dcMedia!.securitySetup = 'ACTIVE';
    await rig.create(context({ served: [passive] }));
    await rig.state(key(1), 'connected');
    await rig.patch('ctx1', [{ op: 'replace', path: `${at(0)}/dcMedia/securitySetup`, value: 'ACTPASS' }]);
    await rig.patch('ctx1', [{ op: 'remove', path: `${at(0)}/dcMedia/remoteDcEndpoint/tlsId` }]);
    await rig.patch('ctx1', [{ op: 'add', path: `${at(0)}/dcMedia/remoteDcEndpoint/tlsId`, value: TLS_A }]);
    assert.deepEqual([...rig.engine.associations.keys()], [key(1)]);
  });

  test('streams come and go; beyond the association they are left out', async () => {
    const rig = new Rig();
    await rig.create(relayed());
    const add = (streamId: number): PatchItem[] =>
      [0, 1].map((t) => ({ op: 'add' as const, path: `${at(t)}/dcMedia/streams/${streamId}`, value: { streamId } }));
    await rig.patch('ctx1', add(1_002));
    assert.deepEqual(
      [...rig.engine.associations.get(key(1))!.routes],
      [
        [1_000, `${key(2)} 1000`],
        [1_002, `${key(2)} 1002`],
      ],
    );
    const full = await rig.patch('ctx1', add(1_024));
    assert.deepEqual(Object.keys(media(full!).dcMedia!.streams), ['1000', '1002']);
    await rig.patch(
      'ctx1',
      [0, 1].map((t) => ({ op: 'remove' as const, path: `${at(t)}/dcMedia/streams/1000` })),
    );
    assert.deepEqual([...rig.engine.associations.get(key(1))!.routes.keys()], [1_002]);
    assert.deepEqual(
      rig.engine.associations.get(key(1))!.streams.map(({ streamId }) => streamId),
      [1_002],
    );
  });

  test('media and terminations are patched away, and added again on new ports', async () => {
    const rig = new Rig();
    await rig.create(context({ served: [answered('m1'), answered('m2', 100)], remote: [httpMedia('d-1', 100)] }));
    await rig.patch('ctx1', [
      { op: 'test', path: `${at(0, 1)}/mediaId`, value: 'm2' },
      { op: 'remove', path: at(0, 1) },
      { op: 'remove', path: '/terminations/1' },
    ]);
    assert.deepEqual([...rig.engine.associations.keys()], [key(1)]);
    assert.deepEqual([...rig.served.keys()], [`${key(1)} 0`]);
    const again = await rig.patch('ctx1', [
      { op: 'add', path: '/terminations/0/medias/-', value: answered('m2', 100) },
    ]);
    assert.equal(media(again!, 0, 1).localMbEndpoint!.portNumber, 40_003);
    await assert.rejects(rig.patch('ctx1', [{ op: 'remove', path: '/terminations/0/medias' }]), { name: 'SbiProblem' });
    assert.equal(rig.engine.associations.size, 2);
  });

  // conformance: R20 — forked branches share the port; losers are patched away
  test('forked branches share a port and the relay follows the newest', async () => {
    const rig = new Rig();
    const created = await rig.create(relayed());
    const branch = {
      ...relayMedia('m2', 1_000, {
        remoteMbEndpoint: endpoint(50_006),
        dcMedia: {
          ...relayMedia('m2', 1_000).dcMedia!,
          remoteDcEndpoint: remoteDc(SHA_A, TLS_B),
          securitySetup: 'PASSIVE',
        },
      }),
      localMbEndpoint: media(created, 1).localMbEndpoint!,
    };
    const forked = await rig.patch('ctx1', [
      { op: 'add', path: '/terminations/-', value: { terminationId: 'remote-2', medias: [branch] } },
    ]);
    assert.equal(media(forked!, 2).localMbEndpoint!.portNumber, 40_001);
    assert.equal(rig.engine.associations.get(key(3))!.options.sharesPortOf, key(2));
    assert.deepEqual([...rig.engine.associations.get(key(1))!.routes], [[1_000, `${key(3)} 1000`]]);
    assert.equal(rig.ports.taken, 2);
    await rig.patch('ctx1', [{ op: 'remove', path: '/terminations/1' }]);
    assert.deepEqual([...rig.engine.associations.keys()], [key(1), key(3)]);
    assert.equal(rig.ports.taken, 2);
    await rig.delete('ctx1');
    assert.deepEqual(rig.residue(), NO_RESIDUE);
  });
});

describe('Nmf_MRM when the engine fails', () => {
  test('every operation of a create can fail, and nothing stays', async () => {
    for (let failing = 0; ; failing++) {
      const rig = new Rig();
      let n = 0;
      rig.engine.fail = (operation) => {
        if (operation !== 'release' && n++ === failing) refuse('INTERNAL');
      };
      const document = {
        terminations: [...relayed().terminations, ...context({ x: [answered('h', 0)] }).terminations],
      };
      try {
        await rig.create(document);
        assert.ok(failing > 8, 'every step was tried');
        return;
      } catch (error) {
        assert.equal((error as { code: string }).code, 'MF_ENGINE_FAILED');
        assert.deepEqual(rig.residue(), NO_RESIDUE, `step ${failing}`);
      }
    }
  });

  test('every operation of a patch can fail, and everything is as before', async () => {
    const far = {
      remoteMbEndpoint: endpoint(50_004),
      dcMedia: { ...relayMedia('m3', 1_000).dcMedia!, remoteDcEndpoint: remoteDc(), securitySetup: 'ACTPASS' as const },
    };
    const items: PatchItem[] = [
      { op: 'replace', path: `${at(0)}/remoteMbEndpoint/portNumber`, value: 50_007 },
      { op: 'add', path: `${at(1)}/remoteMbEndpoint`, value: endpoint(50_010) },
      {
        op: 'add',
        path: `${at(1)}/dcMedia/remoteDcEndpoint`,
        value: { ...remoteDc(SHA_B, TLS_B), securitySetup: 'PASSIVE' },
      },
      { op: 'add', path: '/terminations/0/medias/-', value: relayMedia('m3', 1_000, far) },
      { op: 'add', path: '/terminations/1/medias/-', value: relayMedia('m3', 1_000, far) },
      { op: 'remove', path: '/terminations/2' },
    ];
    for (let failing = 0; ; failing++) {
      const rig = new Rig();
      const created = await rig.create(
        context({ served: [answered()], remote: [httpMedia('d-1', 100)], gone: [answered('g', 0)] }),
      );
      const snapshot = () =>
        JSON.stringify(
          [...rig.engine.associations]
            .map(([k, a]) => [k, a.options, a.started ?? null, a.streams, [...a.routes]])
            .sort(),
        );
      const before = snapshot();
      let n = 0;
      rig.engine.fail = (operation) => {
        if (operation !== 'release' && n++ === failing) refuse('INTERNAL');
      };
      try {
        await rig.patch('ctx1', items);
        assert.ok(failing >= 10, 'every step was tried');
        return;
      } catch (error) {
        assert.equal((error as { code: string }).code, 'MF_ENGINE_FAILED');
        assert.equal(snapshot(), before, `step ${failing}`);
        assert.equal(rig.ports.taken, 3);
        assert.equal(await rig.patch('ctx1', [{ op: 'test', path: '', value: created }]), undefined);
      }
      await rig.delete('ctx1');
      assert.deepEqual(rig.residue(), NO_RESIDUE);
    }
  });

  test('no port, no worker, no room', async () => {
    const small = new Rig({ ports: 1 });
    await assert.rejects(small.create(relayed()), { code: 'MF_NO_PORTS' });
    assert.deepEqual(small.residue(), NO_RESIDUE);
    const rig = new Rig({ maxContexts: 1 });
    rig.engine.fail = () => refuse('DRAINING');
    await assert.rejects(rig.create(relayed()), { code: 'MF_NO_WORKER' });
    rig.engine.fail = () => undefined;
    await rig.create(relayed());
    await assert.rejects(rig.create(relayed()), { code: 'MF_CONTEXT_LIMIT' });
    const drained = rig.contexts.drain();
    await assert.rejects(rig.create(relayed()), { code: 'MF_DRAINING' });
    await rig.delete('ctx2');
    await drained;
  });

  test('a port that somebody else has bound is skipped', async () => {
    const rig = new Rig();
    const bound = new Set([40_000, 40_001]);
    const reserve = rig.engine.reserve.bind(rig.engine);
    rig.engine.reserve = async (k, group, options) =>
      bound.has(options.port) ? refuse('PORT_UNAVAILABLE') : reserve(k, group, options);
    const created = await rig.create(context({ served: [httpMedia('m1', 0)] }));
    assert.equal(media(created).localMbEndpoint!.portNumber, 40_002);
    assert.equal(rig.ports.taken, 1);
    rig.engine.reserve = async () => refuse('PORT_UNAVAILABLE');
    await assert.rejects(rig.create(context({ served: [httpMedia('m1', 0)] })), { code: 'MF_NO_RESOURCES' });
    assert.equal(rig.ports.taken, 1);
  });

  test("a datagram flow takes other ports when either of its two is somebody else's", async () => {
    for (const bound of [40_000, 40_001]) {
      const rig = new Rig();
      const flow = rig.engine.flow.bind(rig.engine);
      rig.engine.flow = async (key, group, options) =>
        [options.a.port, options.b.port].includes(bound) ? refuse('PORT_UNAVAILABLE') : flow(key, group, options);
      await rig.create(context({ served: [udp(50_002)], remote: [udp()] }));
      const { options } = rig.engine.flows.get(key(1))!;
      assert.deepEqual([options.a.port, options.b.port], [40_002, 40_003]);
      assert.equal(rig.ports.taken, 2);
    }
  });
});
