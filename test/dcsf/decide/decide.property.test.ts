import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Session } from '../../../src/dcsf/decide/types.ts';
import { SESSION_EVENT_TYPES, type SessionEventNotification } from '../../../src/services/nimsas.ts';
import { decideAll, environment, POLICY, PROFILE } from './fixtures.ts';

const streamId = fc.oneof(fc.constantFrom(0, 10, 100, 110, 999, 1000, 1002), fc.integer({ min: 0, max: 65_534 }));
const stream = fc.record(
  {
    streamId,
    label: fc.constantFrom('', 'local_10000005_1_a', 'local_77_0_b', 'x'),
    appBindingInfo: fc.oneof(
      fc.string(),
      fc.anything(),
      fc.constant('{"applicationId":"10000005","appDcInfoList":[]}'),
    ),
  },
  { requiredKeys: ['streamId'] },
);
const line = fc.record(
  {
    mediaId: fc.string({ minLength: 1, maxLength: 8 }),
    mediaType: fc.constantFrom('DC', 'dc', 'AUDIO', 'VIDEO', 'SMELL'),
    dcMediaSpecification: fc.record(
      {
        streams: fc.dictionary(streamId.map(String), stream, { maxKeys: 5 }),
        bdcUsedBy: fc.constantFrom('SENDER', 'RECEIVER', 'receiver', 'NOBODY'),
      },
      { requiredKeys: ['streams'] },
    ),
  },
  { requiredKeys: ['mediaId', 'mediaType'] },
);
const mediaId = fc.oneof(
  fc.constantFrom('m1', 'm2', 'm3', '__proto__', 'constructor'),
  fc.string({ minLength: 1, maxLength: 6 }),
);
const event = fc.record(
  {
    notificationEvent: fc.record(
      {
        eventType: fc.oneof(fc.constantFrom(...SESSION_EVENT_TYPES), fc.string({ maxLength: 10 })),
        eventInitiator: fc.constantFrom('SERVED_IMS_SUBSCRIBER', 'REMOTE_IMS_SUBSCRIBER', 'ELSE'),
      },
      { requiredKeys: ['eventType'] },
    ),
    sessionId: fc.constant('s1'),
    sessionInfo: fc.record(
      {
        callingIdentity: fc.oneof(fc.constant('sip:a@x'), fc.string()),
        calledIdentity: fc.oneof(fc.constant('tel:+1'), fc.string()),
        sessionCase: fc.constantFrom('ORIGINATING_IMS_SESSION', 'TERMINATING_IMS_SESSION'),
        peerSupportsDc: fc.boolean(),
        offererMultiplexes: fc.boolean(),
      },
      { requiredKeys: [] },
    ),
    mediaInfoList: fc.dictionary(mediaId, line, { maxKeys: 6 }),
  },
  { requiredKeys: ['notificationEvent', 'sessionId'] },
) as fc.Arbitrary<SessionEventNotification>;

const REQUESTS = new Set(['SESSION_ESTABLISHMENT_REQUEST', 'MEDIA_CHANGE_REQUEST']);
const profiles = [
  PROFILE,
  { ...PROFILE, allowed: false },
  { ...PROFILE, standalone: true, maxChannels: 1 },
  'unavailable',
] as const;

test('over any sequence of events the decisions keep their promises', () => {
  fc.assert(
    fc.property(
      fc.array(event, { minLength: 1, maxLength: 6 }),
      fc.constantFrom(...profiles),
      fc.constantFrom('none', 'e2DCe', 'e2e'),
      fc.constantFrom('strip', 'refuse'),
      (events, profile, anchor, unauthorised) => {
        let session: Session | null = null;
        const env = environment();
        const live = new Set<string>();
        for (const notification of events) {
          const applications = { ...POLICY.applications, anchor, unbound: 'pass' } as const;
          const policy = { applications, unauthorised } as const;
          const decision = decideAll(notification, { session, profile, policy, environment: env });
          for (const { code, sentence } of decision.outcomes) assert.notEqual(code, 'DECISION_FAILED', sentence);
          const notified: Set<string> = new Set(Object.keys(notification.mediaInfoList ?? {}));
          for (const [id, instruction] of Object.entries(decision.instructions)) {
            assert.equal(instruction.mediaId, id, 'map key equals mediaId');
            const specification = instruction.dcMediaSpecification;
            const carrier = specification?.imsdcCarriedBy;
            const minted = instruction.mediaInstruction === 'ORIGINATE_MEDIA' || carrier !== undefined;
            assert.ok(minted ? id.startsWith('d-') && !notified.has(id) : notified.has(id), `instructs unknown ${id}`);
            assert.ok(carrier === undefined || notified.has(carrier), `carried by unknown ${carrier}`);
            if (specification) assert.ok(Object.keys(specification.streams).length > 0, 'streams has minProperties 1');
          }
          if (REQUESTS.has(notification.notificationEvent.eventType)) {
            const lines = Object.entries(notification.mediaInfoList ?? {}).filter(
              ([, m]) => m.mediaType.toUpperCase() === 'DC',
            );
            for (const [id] of lines) {
              assert.equal(decision.outcomes.filter((o) => o.mediaId === id).length, 1, `one outcome for ${id}`);
            }
          } else {
            assert.deepEqual(decision.instructions, {});
          }
          const ofLine = Map.groupBy(Object.entries(decision.instructions), ([id, { dcMediaSpecification }]) => {
            return dcMediaSpecification?.imsdcCarriedBy ?? id;
          });
          for (const instructions of ofLine.values()) {
            const ids = instructions.flatMap(([, one]) => Object.keys(one.dcMediaSpecification?.streams ?? {}));
            assert.equal(new Set(ids).size, ids.length, 'a stream has one far end');
          }
          for (const { token } of decision.grants) {
            assert.ok(!live.has(token), 'tokens are never reused');
            live.add(token);
          }
          for (const token of decision.revoke) assert.ok(live.delete(token), 'revokes only what lives');
          session = structuredClone(decision.session);
          const held = Object.values(session?.media ?? {}).flatMap((m) => m.tokens);
          assert.deepEqual([...held].sort(), [...live].sort(), 'every live token is remembered until revoked');
          assert.ok(Object.keys(session?.media ?? {}).length <= POLICY.maxMediaPerSession + 2);
        }
      },
    ),
    { numRuns: 1500 },
  );
});
