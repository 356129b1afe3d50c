import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ApplicationServer, Decision, Session } from '../../../src/dcsf/decide/types.ts';
import { sealTicket } from '../../../src/services/mdc2.ts';
import type { NotifiedMedia } from '../../../src/services/nimsas.ts';
import { AUDIO, decideAll, environment, line, notification, outcomeOf, PEER, PROFILE, type Run } from './fixtures.ts';

const [PEER_APP, SERVER_APP, BOARD_APP] = ['10000005', '10000006', '10000007'] as const;
/** One for all decisions, as in life: media ids that are minted never meet. */
const ENVIRONMENT = environment();
const CHANGE = { event: 'MEDIA_CHANGE_REQUEST', offererMultiplexes: true } as const;
const SERVER: ApplicationServer = {
  proxy: 'DC_APPLICATION_PROXY',
  target: { url: 'wss://dc-as.example/channels' },
  endpoint: { ip: { ipv4Addr: '192.0.2.7' }, transport: 'TCP', portNumber: 443 },
  protocol: 'TCP/TLS',
  tellIdentities: false,
  between: false,
  interworking: false,
  endsLines: true,
  seal: (claims) => sealTicket(claims, 'a secret'),
};
const POLICY: Run = { policy: { dcAs: { [SERVER_APP]: SERVER, [BOARD_APP]: { ...SERVER, between: true } } } };

/** One line: bootstrap streams as they are, application streams bound to the peer (1000..), a DC AS or a whiteboard. */
function offered(...ids: number[]): NotifiedMedia {
  const bindingOf = (streamId: number) => {
    if (streamId >= 1020) return { applicationId: BOARD_APP, adcEndpointType: 'UE' as const };
    if (streamId >= 1010) return { applicationId: SERVER_APP, adcEndpointType: 'SERVER' as const };
    return { applicationId: PEER_APP, adcEndpointType: 'UE' as const };
  };
  return line(ids, {
    appBindingInfos: ids
      .filter((id) => id >= 1000)
      .map((streamId) => {
        const { adcEndpointType, applicationId } = bindingOf(streamId);
        return { applicationId, appDcInfoList: [{ streamId, adcEndpointType }] };
      }),
  });
}

const decided = (media: NotifiedMedia, session: Session | null = null, run: Run = {}, options = {}) =>
  decideAll(notification({ m0: AUDIO, m1: media }, { ...CHANGE, ...options }), {
    ...POLICY,
    ...run,
    session,
    environment: ENVIRONMENT,
  });

/** `mediaId mediaInstruction proxy streams carrier` of each instruction; parts by their place, since their ids are minted. */
function instructed({ instructions }: Decision): string[] {
  return Object.entries(instructions).map(([mediaId, { dcMediaSpecification: spec, mediaInstruction }]) =>
    [
      mediaId.startsWith('d-') ? 'part' : mediaId,
      mediaInstruction,
      spec?.mediaProxyConfig,
      Object.keys(spec?.streams ?? {}).join('+'),
      spec?.imsdcCarriedBy ?? '-',
    ].join(' '),
  );
}

const partId = ({ instructions }: Decision) => Object.keys(instructions).find((id) => id.startsWith('d-'))!;
const SETUP = { event: 'SESSION_ESTABLISHMENT_REQUEST' } as const;

describe('multiplexing: streams of one line to several far ends', () => {
  // conformance: 23.228 Annex AC (multiplexing) — the DCSF decides per stream; each far end is a media of its own
  test('bootstrap here, one stream to the peer, one to a DC AS', () => {
    const decision = decided(offered(0, 10, 1000, 1002, 1010), null, {}, SETUP);
    assert.deepEqual(instructed(decision), [
      'm1 TERMINATE_MEDIA HTTP_PROXY 0 -',
      'part TERMINATE_MEDIA DC_APPLICATION_PROXY 1010 m1',
      'part TERMINATE_AND_ORIGINATE_MEDIA DC_APPLICATION_PROXY 1000+1002 m1',
      'part ORIGINATE_MEDIA HTTP_PROXY 100 -',
    ]);
    assert.equal(outcomeOf(decision, 'm1'), 'terminate BOOTSTRAP_OWN');
    assert.equal(decision.grants.length, 2);
  });

  test('all four kinds of far end, and the transit of the remote bootstrap is anchored whatever the policy says', () => {
    const media = offered(0, 100, 1000, 1010, 1020);
    const bootstrap = { transit: 'pass', offerOwnLine: false } as const;
    const run = { policy: { ...POLICY.policy, bootstrap } };
    assert.deepEqual(instructed(decided(media, null, run, SETUP)), [
      'm1 TERMINATE_MEDIA HTTP_PROXY 0 -',
      'part TERMINATE_MEDIA DC_APPLICATION_PROXY 1010 m1',
      'part TERMINATE_AND_ORIGINATE_MEDIA DC_APPLICATION_PROXY 100 m1',
      'part TERMINATE_AND_ORIGINATE_MEDIA DC_APPLICATION_PROXY 1000 m1',
      'part TERMINATE_AND_ORIGINATE_MEDIA DC_APPLICATION_PROXY 1020 m1',
    ]);
  });

  // conformance: 26.114 6.2.10.1 (g.3gpp.dc-mux) — without the tag nothing is divided
  test('without the tag, or at an IMS AS without the extension, one far end is served and the rest left out', () => {
    const media = offered(1010, 1000);
    for (const decision of [
      decided(media, null, {}, { offererMultiplexes: false }),
      decided(media, null, { peer: { ...PEER, vendorExtensions: false } }),
    ]) {
      assert.equal(outcomeOf(decision, 'm1'), 'reject ENDPOINTS_MIXED');
    }
    const bootstrap = decided(offered(0, 1010), null, {}, { ...SETUP, offererMultiplexes: false });
    assert.equal(instructed(bootstrap)[0], 'm1 TERMINATE_MEDIA HTTP_PROXY 0 -');
    assert.ok(instructed(bootstrap).every((text) => !text.includes('1010')));
  });

  test('a line with one far end is decided as without the tag: the peer is not anchored', () => {
    assert.equal(outcomeOf(decided(offered(1000, 1002)), 'm1'), 'pass APPLICATION_PASSED');
    assert.equal(outcomeOf(decided(offered(1010)), 'm1'), 'terminate APPLICATION_TO_SERVER');
  });

  // conformance: 23.228 Annex AC (multiplexing) — single streams come and go, the others are left alone
  test('streams join a live line: a part of their own, or the part that leads there already', () => {
    const first = decided(offered(0, 10), null, {}, SETUP);
    const second = decided(offered(0, 1000), first.session);
    assert.deepEqual(instructed(second), ['part TERMINATE_AND_ORIGINATE_MEDIA DC_APPLICATION_PROXY 1000 m1']);
    assert.equal(outcomeOf(second, 'm1'), 'known LINE_KNOWN');

    const third = decided(offered(0, 1000, 1002, 1010), second.session);
    assert.deepEqual(instructed(third).toSorted(), [
      'part TERMINATE_MEDIA DC_APPLICATION_PROXY 1010 m1',
      'part UPDATE_MEDIA DC_APPLICATION_PROXY 1000+1002 m1',
    ]);
    const part = partId(second);
    assert.deepEqual(third.session?.media[part]?.streams, [1000, 1002], 'the same part');

    const again = decided(offered(0, 1000, 1002, 1010), third.session);
    assert.deepEqual(instructed(again), [], 'nothing new: nothing is instructed');
  });

  test('what is left out is forgotten, and may come again', () => {
    const full = decided(offered(0, 1000, 1010), null, {}, SETUP);
    const less = decided(offered(0, 1010, 1012), full.session);
    assert.deepEqual(instructed(less), ['part UPDATE_MEDIA DC_APPLICATION_PROXY 1010+1012 m1']);
    assert.ok(Object.values(less.session!.media).every(({ streams }) => !streams.includes(1000)));
    assert.deepEqual(instructed(decided(offered(0, 1000, 1010, 1012), less.session)), [
      'part TERMINATE_AND_ORIGINATE_MEDIA DC_APPLICATION_PROXY 1000 m1',
    ]);
  });

  test('an offer that was refused leaves nothing behind: the next one is decided anew', () => {
    const event = (name: string, session: Session, lines?: Record<string, NotifiedMedia>) => {
      const { mediaInfoList, ...nothing } = notification(lines ?? {}, { ...CHANGE, event: name });
      return decideAll(lines ? { ...nothing, mediaInfoList } : nothing, { ...POLICY, session }).session!;
    };
    const first = decided(offered(0, 1000), null, {}, SETUP).session!;
    const all = Object.fromEntries(Object.entries(first.media).map(([id, { streams }]) => [id, line([...streams])]));
    const live = event('SESSION_ESTABLISHMENT_SUCCESS', first, all);
    const wanted = offered(0, 1000, 1002, 1010);
    const once = decided(wanted, live);
    assert.deepEqual(event('MEDIA_CHANGE_FAILURE', once.session!), { ...live, revision: once.session!.revision });
    const again = decided(wanted, event('MEDIA_CHANGE_FAILURE', once.session!));
    assert.deepEqual(instructed(again).toSorted(), instructed(once).toSorted());
    const reported = Object.entries(once.session!.media).map(([id, { streams }]) => [id, line([...streams])]);
    const agreed = event('MEDIA_CHANGE_SUCCESS', once.session!, Object.fromEntries(reported));
    assert.ok(Object.values(agreed.media).some(({ former, streams }) => !former && streams.includes(1002)));
  });

  test('channels that have ended are decided anew when they are offered again', () => {
    const report = (name: string, session: Session, lines: Record<string, NotifiedMedia>) =>
      decideAll(notification(lines, { ...CHANGE, event: name }), { ...POLICY, session }).session!;
    const first = decided(offered(0, 1000, 1002, 1010), null, {}, SETUP);
    const parts = Object.fromEntries(
      Object.entries(first.session!.media).map(([id, { streams }]) => [streams.join(), id]),
    );
    const [peer, server] = [parts['1000,1002']!, parts['1010']!];
    const ended = report('MEDIA_CHANGE_FAILURE', first.session!, { [server]: line([1010]) });
    const less = report('MEDIA_CHANGE_SUCCESS', ended, { m1: line([0]), [peer]: line([1000]) });
    assert.deepEqual(less.media[peer]!.streams, [1000]);
    assert.deepEqual(instructed(decided(offered(0, 1000, 1002, 1010), less)).toSorted(), [
      'part TERMINATE_MEDIA DC_APPLICATION_PROXY 1010 m1',
      'part UPDATE_MEDIA DC_APPLICATION_PROXY 1000+1002 m1',
    ]);
  });

  test('channels of all parts count, and a line that is too much is refused as a whole', () => {
    const run = { profile: { ...PROFILE, maxChannels: 2 } };
    assert.equal(outcomeOf(decided(offered(0, 1000, 1010), null, run), 'm1'), 'terminate BOOTSTRAP_OWN');
    assert.equal(outcomeOf(decided(offered(0, 1000, 1010, 1012), null, run), 'm1'), 'reject CHANNELS_EXCEEDED');
    const lines = { policy: { ...POLICY.policy, maxMediaPerSession: 2 } };
    assert.equal(outcomeOf(decided(offered(0, 1000, 1010), null, lines), 'm1'), 'reject LINES_EXCEEDED');
  });

  test('a channel that is not allowed is left out, the others are served', () => {
    const rules = { [PEER_APP]: { allow: false } };
    const applications = { anchor: 'none', unknown: 'reject', unbound: 'reject', rules } as const;
    const decision = decided(offered(0, 1000, 1010), null, { policy: { ...POLICY.policy, applications } }, SETUP);
    assert.deepEqual(instructed(decision).slice(0, 2), [
      'm1 TERMINATE_MEDIA HTTP_PROXY 0 -',
      'part TERMINATE_MEDIA DC_APPLICATION_PROXY 1010 m1',
    ]);
    assert.ok(instructed(decision).every((text) => !text.includes('1000')));
  });

  test('a peer without data channels: what ends here goes on', () => {
    const decision = decided(offered(0, 100, 1000, 1010), null, {}, { ...SETUP, peerSupportsDc: false });
    assert.deepEqual(instructed(decision), [
      'm1 TERMINATE_MEDIA HTTP_PROXY 0 -',
      'part TERMINATE_MEDIA DC_APPLICATION_PROXY 1010 m1',
    ]);
  });

  test('a live line that passes end to end is not divided', () => {
    const passing = decided(offered(1000), null);
    assert.equal(outcomeOf(passing, 'm1'), 'pass APPLICATION_PASSED');
    const more = decided(offered(1000, 1010), passing.session);
    assert.equal(outcomeOf(more, 'm1'), 'reject ENDPOINTS_MIXED');
    assert.deepEqual(more.session?.media.m1?.streams, [1000], 'the live line stays');
  });
});
