import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  ALICE,
  AUDIO,
  BOB,
  decideAll,
  environment,
  line,
  notification,
  outcomeOf,
  POLICY,
  PROFILE,
} from './fixtures.ts';

const OFFER = { m0: AUDIO, m1: line([0, 10]), m2: line([100, 110], { bdcUsedBy: 'SENDER' }) };
const ARRIVED = { m0: AUDIO, m1: line([100], { bdcUsedBy: 'SENDER' }), m2: line([100], { bdcUsedBy: 'RECEIVER' }) };
const TERMINATING = { case: 'TERMINATING_IMS_SESSION' } as const;

describe('bootstrap lines', () => {
  // conformance: R1 — originating side: 0 ends here, sender relayed, a line to our repository added for the peer
  test('originating', () => {
    const decision = decideAll(notification(OFFER));
    const [own, transit, added] = Object.values(decision.instructions);
    const [mine, peers] = decision.grants;
    assert.equal(Object.keys(decision.instructions).length, 3);
    assert.deepEqual(own, {
      mediaId: 'm1',
      mediaResourceType: 'DC',
      mediaInstruction: 'TERMINATE_MEDIA',
      dcMediaSpecification: {
        mediaProxyConfig: 'HTTP_PROXY',
        mdc1EndpointDcsf: POLICY.mdc1.endpoint,
        replaceHttpUrls: { '0': { streamId: 0, replaceHttpUrl: `http://m/bdc/v1/${mine!.token}/` } },
        streams: { '0': { streamId: 0, subprotocol: 'http' } },
      },
    });
    assert.deepEqual(transit, {
      mediaId: 'm2',
      mediaResourceType: 'DC',
      mediaInstruction: 'TERMINATE_AND_ORIGINATE_MEDIA',
      dcMediaSpecification: {
        mediaProxyConfig: 'DC_APPLICATION_PROXY',
        streams: { '100': { streamId: 100, subprotocol: 'http' } },
      },
    });
    assert.match(added!.mediaId, /^d-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.deepEqual(added, {
      mediaId: added!.mediaId,
      mediaResourceType: 'DC',
      mediaInstruction: 'ORIGINATE_MEDIA',
      dcMediaSpecification: {
        mediaProxyConfig: 'HTTP_PROXY',
        mdc1EndpointDcsf: POLICY.mdc1.endpoint,
        replaceHttpUrls: { '100': { streamId: 100, replaceHttpUrl: `http://m/bdc/v1/${peers!.token}/` } },
        streams: { '100': { streamId: 100, subprotocol: 'http' } },
        imsdcTowards: 'remote',
      },
    });
    assert.equal(decision.session!.served, ALICE);
    assert.deepEqual(decision.revoke, []);
  });

  // conformance: R1 — terminating side: sender ends here, receiver relayed, a local line added for the callee
  test('terminating', () => {
    const decision = decideAll(notification(ARRIVED, TERMINATING));
    const [sender, receiver, added] = Object.values(decision.instructions);
    assert.equal(sender!.mediaInstruction, 'TERMINATE_MEDIA');
    assert.deepEqual(Object.keys(sender!.dcMediaSpecification!.streams), ['100']);
    assert.equal(receiver!.mediaInstruction, 'TERMINATE_AND_ORIGINATE_MEDIA');
    assert.equal(added!.mediaInstruction, 'ORIGINATE_MEDIA');
    assert.deepEqual(Object.keys(added!.dcMediaSpecification!.streams), ['0']);
    assert.equal(added!.dcMediaSpecification!.imsdcTowards, 'served');
    assert.equal(decision.session!.served, BOB);
  });

  // conformance: R27 — one unguessable token per call and stream, bound to who fetches
  test('grants say who fetches over which stream', () => {
    const grants = decideAll(notification(OFFER)).grants;
    assert.deepEqual(
      grants.map(({ streamId, subscriber, peerSubscriber, network, expiresAtMs }) => [
        streamId,
        subscriber,
        peerSubscriber,
        network,
        expiresAtMs,
      ]),
      [
        [0, ALICE, BOB, 'own', 6_000],
        [100, BOB, ALICE, 'remote', 6_000],
      ],
    );
    assert.equal(new Set(grants.map(({ token }) => token)).size, 2);
    for (const { token } of grants) assert.ok(token.length >= 32, token);
  });

  test('a transit line passes without mediaInstruction when policy says so', () => {
    const bootstrap = { transit: 'pass', offerOwnLine: true } as const;
    const decision = decideAll(notification(OFFER), { policy: { bootstrap } });
    assert.deepEqual(decision.instructions.m2, {
      mediaId: 'm2',
      mediaResourceType: 'DC',
      dcMediaSpecification: { streams: { '100': { streamId: 100, subprotocol: 'http' } } },
    });
  });

  test('no own line when policy forbids it, when the peer has no data channels, or when no bootstrap was offered', () => {
    const bootstrap = { transit: 'anchor', offerOwnLine: false } as const;
    const added = (decision: ReturnType<typeof decideAll>) =>
      decision.outcomes.filter(({ outcome }) => outcome === 'originate').length;
    assert.equal(added(decideAll(notification(OFFER), { policy: { bootstrap } })), 0);
    assert.equal(added(decideAll(notification(OFFER, { peerSupportsDc: false }))), 0);
    assert.equal(added(decideAll(notification({ m0: AUDIO, m3: line([1000]) }))), 0);
    assert.equal(added(decideAll(notification({ m0: AUDIO }))), 0);
  });

  test('an incapable peer keeps the caller its own bootstrap line and loses the rest', () => {
    const decision = decideAll(notification(OFFER, { peerSupportsDc: false }));
    assert.equal(outcomeOf(decision, 'm1'), 'terminate BOOTSTRAP_OWN');
    assert.equal(outcomeOf(decision, 'm2'), 'reject PEER_INCAPABLE');
    assert.equal(decision.grants[0]!.peerSupportsDc, false);
  });

  test('all four ids on one line: only stream 0 is served', () => {
    const decision = decideAll(notification({ m0: AUDIO, m1: line([0, 10, 100, 110]) }));
    assert.deepEqual(Object.keys(decision.instructions.m1!.dcMediaSpecification!.streams), ['0']);
  });

  for (const [name, ids, more, options, expected] of [
    ['only 10', [10], {}, {}, 'reject BOOTSTRAP_NOT_SERVED'],
    ['only 110', [110], {}, {}, 'reject BOOTSTRAP_NOT_SERVED'],
    ['receiver from our own UE', [100], { bdcUsedBy: 'RECEIVER' }, {}, 'reject BOOTSTRAP_NOT_SERVED'],
    ['100 without used-by', [100], {}, {}, 'relay BOOTSTRAP_TRANSIT_ANCHORED'],
    ['0 from the other network', [0, 10], {}, TERMINATING, 'reject BOOTSTRAP_FOREIGN_LOCAL'],
    ['100 without used-by, arriving', [100], {}, TERMINATING, 'terminate BOOTSTRAP_OWN'],
    ['ids between', [120, 999], {}, {}, 'reject STREAMS_INVALID'],
    ['no streams', [], {}, {}, 'reject STREAMS_INVALID'],
  ] as const) {
    test(`${name}: ${expected}`, () => {
      const decision = decideAll(notification({ m0: AUDIO, m1: line([...ids], more) }, options));
      assert.equal(outcomeOf(decision, 'm1'), expected);
    });
  }
});

describe('mid-call', () => {
  test('bootstrap by re-INVITE is decided like in the INVITE, by either side', () => {
    const served = decideAll(notification(OFFER, { event: 'MEDIA_CHANGE_REQUEST' }));
    assert.equal(Object.keys(served.instructions).length, 3);
    const remote = decideAll(
      notification(ARRIVED, { event: 'MEDIA_CHANGE_REQUEST', initiator: 'REMOTE_IMS_SUBSCRIBER' }),
    );
    assert.equal(outcomeOf(remote, 'm1'), 'terminate BOOTSTRAP_OWN');
    assert.equal(remote.outcomes.at(-1)!.code, 'BOOTSTRAP_FOR_SERVED');
  });

  // conformance: R15 — re-offers of known lines are not instructed again
  test('known lines are not instructed again and need no subscriber data', () => {
    const first = decideAll(notification(OFFER));
    const again = decideAll(notification(OFFER, { event: 'MEDIA_CHANGE_REQUEST' }), { session: first.session });
    assert.deepEqual(Object.keys(again.instructions), []);
    assert.deepEqual(
      again.outcomes.map(({ outcome }) => outcome),
      ['known', 'known'],
    );
    assert.deepEqual(again.session!.media, first.session!.media);
  });

  test("the callee's later bootstrap does not add a second line to our repository", () => {
    const first = decideAll(notification(OFFER));
    const later = decideAll(
      notification(
        { m9: line([100], { bdcUsedBy: 'SENDER' }) },
        { event: 'MEDIA_CHANGE_REQUEST', initiator: 'REMOTE_IMS_SUBSCRIBER' },
      ),
      { session: first.session },
    );
    assert.deepEqual(Object.keys(later.instructions), ['m9']);
  });

  test('a refused change forgets its lines and revokes their tokens; the others stay', () => {
    const env = environment();
    const first = decideAll(notification(OFFER), { environment: env });
    const up = decideAll(notification({ m1: line([0]) }, { event: 'SESSION_ESTABLISHMENT_SUCCESS' }), {
      session: first.session,
    });
    assert.equal(up.session!.media.m1!.status, 'established');
    const added = first.outcomes.at(-1)!.mediaId;
    const failed = decideAll(notification({ [added]: line([100]) }, { event: 'MEDIA_CHANGE_FAILURE' }), {
      session: up.session,
    });
    assert.deepEqual(failed.revoke, [first.grants[1]!.token]);
    assert.deepEqual(Object.keys(failed.session!.media), ['m1', 'm2']);
    const cancelled = decideAll(
      { ...notification({}), notificationEvent: { eventType: 'MEDIA_CHANGE_CANCELLATION' }, mediaInfoList: undefined },
      { session: failed.session },
    );
    assert.deepEqual(Object.keys(cancelled.session!.media), ['m1']);
  });

  for (const event of ['SESSION_TERMINATION', 'SESSION_ESTABLISHMENT_FAILURE', 'SESSION_ESTABLISHMENT_CANCELLATION']) {
    test(`${event} revokes every token and forgets the session`, () => {
      const first = decideAll(notification(OFFER));
      const over = decideAll(notification({}, { event }), { session: first.session });
      assert.deepEqual([...over.revoke].sort(), first.grants.map(({ token }) => token).sort());
      assert.equal(over.session, null);
    });
  }

  for (const event of ['SESSION_ESTABLISHMENT_PROGRESS', 'SESSION_ESTABLISHMENT_ALERTING', 'SOMETHING_OF_REL_21']) {
    test(`${event} changes nothing`, () => {
      const first = decideAll(notification(OFFER));
      const next = decideAll(notification(OFFER, { event }), { session: first.session });
      assert.deepEqual(next, { instructions: {}, outcomes: [], grants: [], revoke: [], session: first.session });
    });
  }
});

describe('authorisation', () => {
  // conformance: 24.186 9.3.2.2.1, R9 — an unauthorised user loses the data channel lines, not the call
  test('strip', () => {
    const decision = decideAll(notification(OFFER), { profile: { ...PROFILE, allowed: false } });
    assert.equal(outcomeOf(decision, 'm1'), 'reject NOT_AUTHORISED');
    assert.deepEqual(
      Object.values(decision.instructions).map((i) => i.mediaInstruction),
      ['REJECT_MEDIA', 'REJECT_MEDIA'],
    );
    assert.deepEqual(decision.grants, []);
    assert.equal(decision.refusal, undefined);
  });

  test('refuse: 403 and nothing remembered', () => {
    const run = { profile: { ...PROFILE, allowed: false }, policy: { unauthorised: 'refuse' } } as const;
    const decision = decideAll(notification(OFFER), run);
    assert.equal(decision.refusal!.code, 'NOT_AUTHORISED');
    assert.deepEqual(decision.instructions, {});
    assert.equal(decision.session, null);
  });

  test('a subscriber store that fails strips, also where policy refuses', () => {
    const decision = decideAll(notification(OFFER), { profile: 'unavailable', policy: { unauthorised: 'refuse' } });
    assert.equal(outcomeOf(decision, 'm1'), 'reject PROFILE_UNAVAILABLE');
    assert.equal(decision.refusal, undefined);
  });

  // conformance: 24.186 9.3.2.2.4 — standalone sessions need their own authorisation
  test('standalone', () => {
    const standalone = notification({ m1: line([0]) });
    assert.equal(decideAll(standalone).refusal?.code, 'NOT_STANDALONE');
    const allowed = decideAll(standalone, { profile: { ...PROFILE, standalone: true } });
    assert.equal(outcomeOf(allowed, 'm1'), 'terminate BOOTSTRAP_OWN');
  });

  test('the profile of the served user is asked for, by normalised identity', async () => {
    const { decide } = await import('../../../src/dcsf/decide/decide.ts');
    const { question } = await import('./fixtures.ts');
    const event = notification(ARRIVED, TERMINATING);
    event.sessionInfo!.calledIdentity = 'SIP:bob@Other.Example:5060;user=phone';
    const step = decide(question(event), environment());
    assert.deepEqual(step.step === 'need' && step.needs, [{ kind: 'subscriber', identity: BOB }]);
  });
});

describe('limits and vocabulary', () => {
  test('more lines than a session may have are refused', () => {
    const lines = Object.fromEntries([1, 2, 3, 4].map((n) => [`m${n}`, line([100], { bdcUsedBy: 'SENDER' })]));
    const decision = decideAll(notification({ m0: AUDIO, ...lines }), { policy: { maxMediaPerSession: 3 } });
    assert.equal(outcomeOf(decision, 'm4'), 'reject LINES_EXCEEDED');
  });

  // conformance: R3 — alpha peers get the names of their release
  test('alpha vocabulary, no vendor members, no subprotocol', () => {
    const peer = { vocabulary: 'rel18-alpha', omitSubprotocol: true, vendorExtensions: false } as const;
    const decision = decideAll(notification(OFFER), { peer });
    const specifications = Object.values(decision.instructions).map((i) => i.dcMediaSpecification!);
    assert.deepEqual(
      specifications.map((s) => s.mediaProxyConfig),
      ['HTTP', 'UDP', 'HTTP'],
    );
    for (const specification of specifications) {
      assert.ok(!('imsdcTowards' in specification));
      for (const stream of Object.values(specification.streams)) assert.ok(!('subprotocol' in stream));
    }
  });

  test('a decision that throws refuses the new lines and says why', () => {
    const broken = {
      nowMs: 0,
      random(): string {
        throw new Error('no entropy');
      },
    };
    const first = decideAll(notification({ m0: AUDIO, m1: line([0]) }));
    const decision = decideAll(notification({ m1: line([0]), m5: line([0]) }, { event: 'MEDIA_CHANGE_REQUEST' }), {
      environment: broken,
      session: first.session,
    });
    assert.deepEqual(Object.keys(decision.instructions), ['m5']);
    assert.equal(decision.instructions.m5!.mediaInstruction, 'REJECT_MEDIA');
    assert.equal(decision.outcomes[0]!.sentence, 'the decision failed: no entropy');
    assert.ok(decision.session!.media.m1, 'the live line is untouched');
  });
});
