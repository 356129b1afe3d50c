import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { NotifiedMedia } from '../../../src/services/nimsas.ts';
import { AUDIO, decideAll, line, notification, outcomeOf, POLICY, PROFILE, type Run } from './fixtures.ts';

const CHANGE = { event: 'MEDIA_CHANGE_REQUEST' } as const;
const bound = (applicationId: string, endpoint: 'UE' | 'SERVER', ids: number[]): NotifiedMedia => ({
  ...line(ids),
  dcMediaSpecification: {
    streams: Object.fromEntries(ids.map((streamId) => [String(streamId), { streamId, label: 'free text' }])),
    appBindingInfos: [
      { applicationId, appDcInfoList: ids.map((streamId) => ({ streamId, adcEndpointType: endpoint })) },
    ],
  },
});
const rules = (entries: (typeof POLICY)['applications']['rules'], more = {}): Run => ({
  policy: { applications: { ...POLICY.applications, rules: entries, ...more } },
});
const decideLine = (media: NotifiedMedia, run: Run = {}, options = {}) =>
  decideAll(notification({ m4: media }, { ...CHANGE, ...options }), run);

describe('application lines', () => {
  // conformance: 23.228 AC.7.2.1 — person to person is not anchored by default
  test('P2P passes: an entry without mediaInstruction', () => {
    const decision = decideLine(bound('10000005', 'UE', [1000]));
    assert.deepEqual(decision.instructions.m4, {
      mediaId: 'm4',
      mediaResourceType: 'DC',
      dcMediaSpecification: { streams: { '1000': { streamId: 1000, label: 'free text' } } },
    });
    assert.equal(outcomeOf(decision, 'm4'), 'pass APPLICATION_PASSED');
  });

  for (const [anchor, proxy] of [
    ['e2DCe', 'DC_APPLICATION_PROXY'],
    ['e2e', 'UDP_PROXY'],
  ] as const) {
    // conformance: R3 — proxy values of anchored channels
    test(`anchored ${anchor}: TERMINATE_AND_ORIGINATE_MEDIA with ${proxy}`, () => {
      const decision = decideLine(bound('10000005', 'UE', [1000]), rules({ '10000005': { allow: true, anchor } }));
      assert.equal(decision.instructions.m4!.mediaInstruction, 'TERMINATE_AND_ORIGINATE_MEDIA');
      assert.equal(decision.instructions.m4!.dcMediaSpecification!.mediaProxyConfig, proxy);
    });
  }

  test('anchoring: application rule, then network rule, then the package, then the default', () => {
    const catalogue = new Map([['10000005', { applicationId: '10000005', anchor: 'e2e' as const }]]);
    const networks = { 'other.example': { allow: true, anchor: 'e2DCe' as const } };
    const line = bound('10000005', 'UE', [1000]);
    const proxy = (run: Run) => decideLine(line, run).instructions.m4!.dcMediaSpecification!.mediaProxyConfig;
    assert.equal(proxy({ catalogue }), 'UDP_PROXY');
    assert.equal(proxy({ catalogue, policy: { networks } }), 'DC_APPLICATION_PROXY');
    const rule = { ...POLICY.applications, rules: { '10000005': { allow: true, anchor: 'none' as const } } };
    assert.equal(proxy({ catalogue, policy: { networks, applications: rule } }), undefined);
    assert.equal(proxy({ policy: { applications: { ...POLICY.applications, anchor: 'e2e' } } }), 'UDP_PROXY');
  });

  // conformance: ue-side 9 — ids from 1000 without a binding: by policy, refused by default
  const free: NotifiedMedia = {
    mediaId: 'm4',
    mediaType: 'DC',
    dcMediaSpecification: { streams: { '1000': { streamId: 1000, label: 'chat' } } },
  };
  for (const [name, media, run, options, expected] of [
    ['unknown application', bound('77', 'UE', [1000]), {}, {}, 'reject APPLICATION_UNKNOWN'],
    ['prototype names are not rules', bound('constructor', 'UE', [1000]), {}, {}, 'reject APPLICATION_UNKNOWN'],
    [
      'unknown let through by policy',
      bound('77', 'UE', [1000]),
      rules({}, { unknown: 'pass' }),
      {},
      'pass APPLICATION_PASSED',
    ],
    [
      'published',
      bound('77', 'UE', [1000]),
      { catalogue: new Map([['77', { applicationId: '77' }]]) },
      {},
      'pass APPLICATION_PASSED',
    ],
    [
      'forbidden',
      bound('10000005', 'UE', [1000]),
      rules({ '10000005': { allow: false } }),
      {},
      'reject APPLICATION_NOT_ALLOWED',
    ],
    [
      'not subscribed',
      bound('10000005', 'UE', [1000]),
      { profile: { ...PROFILE, applications: ['1'] } },
      {},
      'reject APPLICATION_NOT_SUBSCRIBED',
    ],
    [
      'callee need not subscribe',
      bound('10000005', 'UE', [1000]),
      { profile: { ...PROFILE, applications: [] } },
      { case: 'TERMINATING_IMS_SESSION' },
      'pass APPLICATION_PASSED',
    ],
    ['ends at a server', bound('10000005', 'SERVER', [1000]), {}, {}, 'reject DC_AS_MISSING'],
    ['no binding', free, {}, {}, 'reject APPLICATION_UNBOUND'],
    ['no binding, let through by policy', free, rules({}, { unbound: 'pass' }), {}, 'pass APPLICATION_PASSED'],
    [
      'peer without data channels',
      bound('10000005', 'UE', [1000]),
      {},
      { peerSupportsDc: false },
      'reject PEER_INCAPABLE',
    ],
    [
      'forbidden network',
      bound('10000005', 'UE', [1000]),
      { policy: { networks: { 'other.example': { allow: false } } } },
      {},
      'reject NETWORK_NOT_ALLOWED',
    ],
    [
      'too many channels',
      bound('10000005', 'UE', [1000, 1002, 1004]),
      { profile: { ...PROFILE, maxChannels: 2 } },
      {},
      'reject CHANNELS_EXCEEDED',
    ],
  ] as [string, NotifiedMedia, Run, object, string][]) {
    test(`${name}: ${expected}`, () => {
      const decision = decideLine(media, run, options);
      assert.equal(outcomeOf(decision, 'm4'), expected);
      assert.equal(
        decision.instructions.m4!.mediaInstruction,
        expected.startsWith('reject') ? 'REJECT_MEDIA' : undefined,
      );
    });
  }

  test('channels of earlier lines and of the same offer count', () => {
    const run = { profile: { ...PROFILE, maxChannels: 2 } };
    const decision = decideAll(notification({ a: line([1000]), b: line([1002]), c: line([1004]) }, CHANGE), run);
    assert.deepEqual(
      decision.outcomes.map(({ outcome }) => outcome),
      ['pass', 'pass', 'reject'],
    );
    const later = decideAll(notification({ d: line([1006]) }, CHANGE), { ...run, session: decision.session });
    assert.equal(outcomeOf(later, 'd'), 'reject CHANNELS_EXCEEDED');
  });

  test('channels that a full list no longer names have been closed', () => {
    const run = { profile: { ...PROFILE, maxChannels: 1 } };
    const first = decideAll(notification({ m0: AUDIO, a: line([1000]) }, CHANGE), run);
    const partial = decideAll(notification({ b: line([1002]) }, CHANGE), { ...run, session: first.session });
    assert.equal(outcomeOf(partial, 'b'), 'reject CHANNELS_EXCEEDED');
    const full = decideAll(notification({ m0: AUDIO, b: line([1002]) }, CHANGE), { ...run, session: first.session });
    assert.equal(outcomeOf(full, 'b'), 'pass APPLICATION_PASSED');
    assert.deepEqual(Object.keys(full.session!.media), ['b']);
  });

  // conformance: R17 — a refused change leaves the live line as it was
  test('a refused change of a live line is forgotten, the line is not', () => {
    const run = { profile: { ...PROFILE, maxChannels: 1 } };
    const first = decideLine(line([1000]), run);
    const more = decideLine(line([1000, 1002]), { ...run, session: first.session });
    assert.equal(outcomeOf(more, 'm4'), 'reject CHANNELS_EXCEEDED');
    assert.deepEqual(more.session!.media, first.session!.media);
  });

  test('a refused stream refuses a line that would pass, and is left out of an anchored one', () => {
    const mixed = bound('10000005', 'UE', [1000, 1002]);
    const streams = mixed.dcMediaSpecification!;
    streams.appBindingInfos = [
      { applicationId: '10000005', appDcInfoList: [{ streamId: 1000, adcEndpointType: 'UE' }] },
      { applicationId: '77', appDcInfoList: [{ streamId: 1002, adcEndpointType: 'UE' }] },
    ];
    assert.equal(outcomeOf(decideLine(mixed), 'm4'), 'reject APPLICATION_UNKNOWN');
    const anchored = decideLine(mixed, rules({ '10000005': { allow: true, anchor: 'e2DCe' } }));
    assert.deepEqual(Object.keys(anchored.instructions.m4!.dcMediaSpecification!.streams), ['1000']);
  });

  test('a known line: unchanged is left alone, new streams are decided', () => {
    const anchored = rules({ '10000005': { allow: true, anchor: 'e2DCe' } });
    const first = decideLine(line([1000]), anchored);
    const same = decideLine(line([1000]), { ...anchored, session: first.session });
    assert.equal(outcomeOf(same, 'm4'), 'known LINE_KNOWN');
    const more = decideLine(line([1000, 1002]), { ...anchored, session: first.session });
    assert.equal(more.instructions.m4!.mediaInstruction, 'UPDATE_MEDIA');
    assert.deepEqual(Object.keys(more.instructions.m4!.dcMediaSpecification!.streams), ['1000', '1002']);
    const passed = decideLine(line([1000]));
    const passedMore = decideLine(line([1000, 1002]), { session: passed.session });
    assert.equal(outcomeOf(passedMore, 'm4'), 'pass APPLICATION_PASSED');
  });
});

describe('binding', () => {
  const withStream = (stream: object): NotifiedMedia => ({
    mediaId: 'm4',
    mediaType: 'DC',
    dcMediaSpecification: { streams: { '1000': { streamId: 1000, ...stream } } },
  });
  const info = { applicationId: '10000005', appDcInfoList: [{ streamId: 1000, adcEndpointType: 'UE' }] };
  // conformance: ue-side 2.4, network-side 3.6 (10) — bindings as object, as JSON, by label
  for (const [name, stream, expected] of [
    ['Rel-18 JSON text', { appBindingInfo: JSON.stringify(info) }, 'pass APPLICATION_PASSED'],
    ['Rel-18 object', { appBindingInfo: info }, 'pass APPLICATION_PASSED'],
    ['label', { label: 'remote_10000005_1_draw' }, 'pass APPLICATION_PASSED'],
    ['label, use case 0', { label: 'local_10000005_0_menu' }, 'reject DC_AS_MISSING'],
    ['label with five parts', { label: 'local_10000005_1_a_b' }, 'reject APPLICATION_UNBOUND'],
    ['broken JSON', { appBindingInfo: '{"applicationId":' }, 'reject APPLICATION_UNBOUND'],
    [
      'JSON of another shape',
      { appBindingInfo: '{"applicationId":5,"appDcInfoList":[]}' },
      'reject APPLICATION_UNBOUND',
    ],
    ['null', { appBindingInfo: null }, 'reject APPLICATION_UNBOUND'],
    ['list of nonsense', { appBindingInfo: { ...info, appDcInfoList: [null, 3, {}] } }, 'reject APPLICATION_UNBOUND'],
    ['broken JSON, label', { appBindingInfo: 'a=x', label: 'local_10000005_1_draw' }, 'pass APPLICATION_PASSED'],
  ] as const) {
    test(`${name}: ${expected}`, () => {
      const decision = decideLine(withStream(stream));
      assert.equal(outcomeOf(decision, 'm4'), expected);
      const streams = decision.instructions.m4!.dcMediaSpecification?.streams;
      assert.ok(!streams || !('appBindingInfo' in streams['1000']!), 'a binding is not an instruction');
    });
  }
});
