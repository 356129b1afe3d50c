import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDataChannelMedia } from '../../src/sdp/data-channel.ts';
import { parseSessionDescription } from '../../src/sdp/parse.ts';
import * as mapping from '../../src/sdp/service-mapping.ts';
import { fixture, mediaOf } from './support.ts';

const app = mediaOf(readDataChannelMedia(parseSessionDescription(fixture('e6-reinvite-p2p')), 3, { as: 'offer' }));

// conformance: 29.571 DcStream — streams and back
/** What JSON shows of it: a member that is undefined is none. */
const shown = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test('streams map to DcStream and back', () => {
  assert.deepEqual(shown(mapping.toDcStreams(app.streams)), {
    1000: { streamId: 1000, label: 'local_10000005_1_draw', order: true, priority: 256 },
    1002: { streamId: 1002, label: 'local_10000005_1_pos', order: false, maxTime: 150, priority: 256 },
  });
  const back = mapping.fromDcStreams(mapping.toDcStreams(app.streams));
  assert.deepEqual(
    shown(back),
    app.streams.map(({ verbatim: _, ...stream }) => stream),
  );
});

// conformance: network-side 3.6 (5, 19) — the key wins; maxRetry and maxTime together are unusable
test('tolerant input: the key wins, http is inferred for bootstrap ids, both limits are unusable', () => {
  assert.deepEqual(
    shown(
      mapping.fromDcStreams({
        100: { streamId: 5 },
        0: { streamId: 0 },
        1000: { streamId: 1000, maxRetry: 0, maxTime: 0 },
      }),
    ),
    [0, 100].map((streamId) => ({ streamId, label: '', subprotocol: 'http', ordered: true, priority: 256, dcsa: [] })),
  );
});

// conformance: network-side 3.6 (6, 7, 9) — both fingerprint fields, the whole tls-id alphabet, securitySetup inside
test('the DTLS/SCTP end maps to DcEndpoint with both fingerprint fields, and back', () => {
  const endpoint = mapping.toDcEndpoint(app);
  assert.equal(endpoint.fingerprint, endpoint.fingerprints![0]);
  assert.match(endpoint.fingerprint!, /^SHA-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  assert.deepEqual(
    [endpoint.sctpPort, endpoint.securitySetup, endpoint.tlsId],
    [5000, 'ACTPASS', '55fog80iTa25wquh5lBS'],
  );
  const { setup, sctpPort, fingerprints, tlsId } = app;
  assert.deepEqual(mapping.fromDcEndpoint(endpoint), { setup, sctpPort, fingerprints, tlsId });
  assert.deepEqual(shown(mapping.fromDcEndpoint({ sctpPort: 1, fingerprint: 'SHA-256 AA', tlsId: 'x' })), {
    sctpPort: 1,
    fingerprints: [],
  });
  assert.equal(mapping.fromDcEndpoint({ sctpPort: 1, fingerprint: endpoint.fingerprint }).fingerprints.length, 1);
});

test('endpoints: IPv4 and IPv6', () => {
  for (const [address, ip] of [
    ['192.0.2.1', { ipv4Addr: '192.0.2.1' }],
    ['2001:db8::1', { ipv6Addr: '2001:db8::1' }],
  ] as const) {
    assert.deepEqual(mapping.toEndpoint(address, 7), { ip, transport: 'UDP', portNumber: 7 });
    assert.deepEqual(mapping.fromEndpoint(mapping.toEndpoint(address, 7)), { address, port: 7 });
  }
  assert.equal(mapping.fromEndpoint({ ip: {}, portNumber: 7 }), undefined);
});

// conformance: R11 — max(1, min(64, ceil(bytes/1024)))
test('sizes in KiB', () => {
  const pairs: [number, number][] = [
    [1, 1],
    [1024, 1],
    [1025, 2],
    [65535, 64],
    [65536, 64],
    [262144, 64],
    [0, 64],
  ];
  for (const [bytes, kib] of pairs) assert.equal(mapping.toMaxMessageSizeKiB(bytes), kib, String(bytes));
});

test('setup and application binding', () => {
  for (const setup of ['active', 'passive', 'actpass'] as const) {
    assert.equal(mapping.fromSecuritySetup(mapping.toSecuritySetup(setup)), setup);
  }
  assert.deepEqual(mapping.toAppBindingInfo({ ...app.applications[0]!, plmnId: '460-00' }), {
    applicationId: '10000005',
    plmnId: { mcc: '460', mnc: '00' },
    appDcInfoList: [
      { streamId: 1000, adcEndpointType: 'UE' },
      { streamId: 1002, adcEndpointType: 'UE' },
    ],
  });
});
