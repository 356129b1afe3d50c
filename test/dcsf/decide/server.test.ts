import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ApplicationServer, DecidedMedia, Session } from '../../../src/dcsf/decide/types.ts';
import { openTicket, sealTicket } from '../../../src/services/mdc2.ts';
import { CHANNELS_CLOSED, type MediaInstruction, type NotifiedMedia } from '../../../src/services/nimsas.ts';
import { ALICE, BOB, decideAll, line, notification, outcomeOf, PEER, POLICY, PROFILE, type Run } from './fixtures.ts';

const APP = '10000006';
const SECRET = 'shared with the DC AS';
const CHANGE = { event: 'MEDIA_CHANGE_REQUEST' } as const;
const SERVER: ApplicationServer = {
  proxy: 'DC_APPLICATION_PROXY',
  target: { url: 'wss://dc-as.example/channels' },
  endpoint: { ip: { ipv4Addr: '192.0.2.7' }, transport: 'TCP', portNumber: 443 },
  protocol: 'TCP/TLS',
  tellIdentities: false,
  between: false,
  interworking: false,
  endsLines: true,
  seal: (claims) => sealTicket(claims, SECRET),
};
const served = (change: Partial<ApplicationServer> = {}, run: Run = {}): Run => ({
  ...run,
  policy: { ...run.policy, dcAs: { [APP]: { ...SERVER, ...change } } },
});

function bound(streams: Record<number, [applicationId: string, endpoint: 'UE' | 'SERVER']>): NotifiedMedia {
  const ids = Object.keys(streams).map(Number);
  return {
    ...line(ids),
    dcMediaSpecification: {
      streams: Object.fromEntries(ids.map((streamId) => [String(streamId), { streamId, label: 'x' }])),
      appBindingInfos: ids.map((streamId) => ({
        applicationId: streams[streamId]![0],
        appDcInfoList: [{ streamId, adcEndpointType: streams[streamId]![1] }],
      })),
    },
  };
}

const TO_SERVER = bound({ 1000: [APP, 'SERVER'] });
const TO_UE = bound({ 1000: [APP, 'UE'] });
const decideLine = (media: NotifiedMedia, run: Run, options = {}) =>
  decideAll(notification({ m4: media }, { ...CHANGE, ...options }), run);
const ticketOf = (instruction: MediaInstruction | undefined) =>
  openTicket(instruction!.dcMediaSpecification!.imsdcMdc2!.ticket!, SECRET, 0);
const live = (change: Partial<DecidedMedia>): Session => ({
  schema: 1,
  sessionId: 's1',
  sessionCase: 'originating',
  served: ALICE,
  peer: BOB,
  revision: 4,
  media: {
    m4: {
      kind: 'application',
      outcome: 'terminate',
      proxy: 'DC_APPLICATION_PROXY',
      offered: [1000],
      streams: [1000],
      tokens: [],
      dcAs: APP,
      status: 'established',
      ...change,
    },
  },
});

describe('application lines that end at a DC AS', () => {
  // conformance: 23.228 AC.7.2.2 — P2A: TERMINATE_MEDIA with the MDC2 endpoint of the DC AS
  test('P2A by endpoint SERVER', () => {
    const decision = decideLine(TO_SERVER, served());
    assert.equal(outcomeOf(decision, 'm4'), 'terminate APPLICATION_TO_SERVER');
    const { dcMediaSpecification: spec, mediaInstruction } = decision.instructions.m4!;
    assert.equal(mediaInstruction, 'TERMINATE_MEDIA');
    assert.equal(spec!.mediaProxyConfig, 'DC_APPLICATION_PROXY');
    assert.deepEqual(spec!.mdc2EndpointDcAs, SERVER.endpoint);
    assert.equal(spec!.mdc2Protocol, 'TCP/TLS');
    assert.equal(spec!.imsdcMdc2!.url, SERVER.target.url);
    const { exp, jti, ...ticket } = ticketOf(decision.instructions.m4)!;
    assert.deepEqual(ticket, { app: APP, session: 's1', mode: 'P2A' }, 'identities are not told');
    assert.equal(jti.length, 32);
    assert.equal(exp, 6);
  });

  test('P2A by the label of deployed handsets: use case 0', () => {
    const media = line([]);
    media.dcMediaSpecification.streams = { 1000: { streamId: 1000, label: `local_${APP}_0_menu` } };
    assert.equal(outcomeOf(decideLine(media, served()), 'm4'), 'terminate APPLICATION_TO_SERVER');
  });

  test('identities are told where the policy says so', () => {
    const { served: user, peer } = ticketOf(decideLine(TO_SERVER, served({ tellIdentities: true })).instructions.m4)!;
    assert.deepEqual([user, peer], [ALICE, BOB]);
  });

  test('neither the other user nor his network matters to P2A', () => {
    const run = served({}, { policy: { networks: { 'other.example': { allow: false } } } });
    assert.equal(
      outcomeOf(decideLine(TO_SERVER, run, { peerSupportsDc: false }), 'm4'),
      'terminate APPLICATION_TO_SERVER',
    );
    assert.equal(outcomeOf(decideLine(TO_UE, run), 'm4'), 'reject NETWORK_NOT_ALLOWED');
  });

  // conformance: 23.228 AC.7.2.3 — P2A2P: anchored on both legs, MDC2 on each
  test('P2A2P: between two users, by the policy of the network that opens the channel', () => {
    const decision = decideLine(TO_UE, served({ between: true }));
    assert.equal(outcomeOf(decision, 'm4'), 'relay APPLICATION_BETWEEN');
    assert.equal(decision.instructions.m4!.mediaInstruction, 'TERMINATE_AND_ORIGINATE_MEDIA');
    assert.equal(ticketOf(decision.instructions.m4)!.mode, 'P2A2P');
    const terminating = { case: 'TERMINATING_IMS_SESSION' };
    assert.equal(outcomeOf(decideLine(TO_UE, served({ between: true }), terminating), 'm4'), 'pass APPLICATION_PASSED');
  });

  // conformance: 23.228 AC.7.2.2 — a DC AS hangs up: DELETE_MEDIA, by policy
  test('a DC AS that has closed the last channel ends the line; nothing else of the session', () => {
    const closed = (ids: string[], session: Session, policy = {}) => {
      const media = Object.fromEntries(ids.map((id) => [id, { ...TO_SERVER, mediaId: id }]));
      return decideAll(notification(media, { event: CHANNELS_CLOSED }), { ...served(policy), session });
    };
    const bootstrap: DecidedMedia = { ...live({}).media.m4!, kind: 'bootstrap', streams: [0], offered: [0] };
    const { dcAs: _, ...own } = bootstrap;
    const session = { ...live({}), media: { ...live({}).media, m1: own } };
    const decision = closed(['m4', 'm1', 'm9', '__proto__'], session);
    assert.deepEqual(
      [Object.keys(decision.instructions), decision.instructions.m4!.mediaInstruction],
      [['m4'], 'DELETE_MEDIA'],
    );
    assert.equal(outcomeOf(decision, 'm4'), 'delete DC_AS_CLOSED');
    assert.deepEqual([Object.keys(decision.session!.media), decision.session!.revision], [['m1'], 5]);
    for (const [one, policy] of [
      [session, { endsLines: false }],
      [live({ status: 'pending' }), {}],
      [live({ dcAs: 'another' }), {}],
    ] as const) {
      const kept = closed(['m4'], one, policy);
      assert.deepEqual([kept.instructions, kept.session], [{}, one]);
    }
  });

  // conformance: 23.228 AC.7.9 — P2P becomes P2A when the other user has no data channels
  test('interworking: the DC AS stands in for a user without data channels, where it can', () => {
    const incapable = { peerSupportsDc: false };
    assert.equal(
      outcomeOf(decideLine(TO_UE, served({ interworking: true }), incapable), 'm4'),
      'terminate APPLICATION_INTERWORKED',
    );
    assert.equal(outcomeOf(decideLine(TO_UE, served(), incapable), 'm4'), 'reject PEER_INCAPABLE');
    assert.equal(outcomeOf(decideLine(TO_UE, served({ interworking: true })), 'm4'), 'pass APPLICATION_PASSED');
  });

  test('without a DC AS, a subscription or room there is none', () => {
    const reasons = (run: Run, media = TO_SERVER) => outcomeOf(decideLine(media, run), 'm4');
    const rule = { ...POLICY.applications, rules: { [APP]: { allow: true } } };
    assert.equal(reasons({ policy: { applications: rule } }), 'reject DC_AS_MISSING');
    assert.equal(
      reasons(served({}, { profile: { ...PROFILE, applications: [] } })),
      'reject APPLICATION_NOT_SUBSCRIBED',
    );
    assert.equal(reasons(served({}, { profile: { ...PROFILE, maxChannels: 0 } })), 'reject CHANNELS_EXCEEDED');
    const barred = { ...POLICY.applications, rules: { [APP]: { allow: false } } };
    assert.equal(reasons(served({}, { policy: { applications: barred } })), 'reject APPLICATION_NOT_ALLOWED');
  });

  test('streams of one line that lead elsewhere are left out, or refuse a line that passes', () => {
    const both = bound({ 1000: [APP, 'SERVER'], 1002: [APP, 'UE'] });
    const { m4 } = decideLine(both, served()).instructions;
    assert.deepEqual(Object.keys(m4!.dcMediaSpecification!.streams), ['1000']);
    const other = bound({ 1000: [APP, 'UE'], 1002: [APP, 'SERVER'] });
    assert.equal(outcomeOf(decideLine(other, served()), 'm4'), 'reject ENDPOINTS_MIXED');
  });

  test('more channels on a live line keep its ticket; its far end stays', () => {
    const more = bound({ 1000: [APP, 'SERVER'], 1002: [APP, 'SERVER'] });
    const decision = decideLine(more, served({}, { session: live({}) }));
    assert.equal(outcomeOf(decision, 'm4'), 'update STREAMS_CHANGED');
    const spec = decision.instructions.m4!.dcMediaSpecification!;
    assert.deepEqual([spec.imsdcMdc2, Object.keys(spec.streams)], [undefined, ['1000', '1002']]);
    const moved = bound({ 1000: [APP, 'UE'], 1002: [APP, 'UE'] });
    assert.equal(outcomeOf(decideLine(moved, served({}, { session: live({}) })), 'm4'), 'reject ENDPOINT_CHANGED');
    const { dcAs: _, ...passed } = live({ outcome: 'pass' }).media.m4!;
    const session = { ...live({}), media: { m4: passed } };
    assert.equal(outcomeOf(decideLine(more, served({}, { session })), 'm4'), 'reject ENDPOINT_CHANGED');
  });

  // conformance: R4 — vendor members are absent to peers whose profile says so
  test('a foreign IMS AS gets the standard members only', () => {
    const run = served({}, { peer: { ...PEER, vendorExtensions: false } });
    const spec = decideLine(TO_SERVER, run).instructions.m4!.dcMediaSpecification!;
    assert.deepEqual([spec.imsdcMdc2, spec.mdc2Protocol], [undefined, 'TCP/TLS']);
  });
});
