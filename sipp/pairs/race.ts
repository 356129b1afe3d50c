import { answers, request as ask, asked, invited, ok, respond } from '../script/callee.ts';
import { ack, ackFailure, bye, cancel, expect, invite, maybe, reinvite, reply } from '../script/caller.ts';
import { body, header, keep } from '../script/check.ts';
import type { Pair } from '../script/steps.ts';
import { bootstrapped, hangsUp, isHungUpOn, isTold, tells } from './flows.ts';
import { ALICE, BOB, E2, HOLD } from './media.ts';

/** Messages that cross. What is lost, or comes twice: lost.ts. */

export const RACES: readonly Pair[] = [
  {
    name: 'race-200-crosses-cancel',
    shows:
      'The callee answers in the moment in which the caller gives up: the AS acknowledges and ends what nobody wants.',
    conformance: [['RFC 3261 15', 'a 2xx that crosses the CANCEL: ACK and BYE towards the callee, 487 to the caller']],
    uac: [invite({ body: ALICE }), ...maybe(100), expect(180), cancel(), expect(200), expect(487), ackFailure()],
    uas: [
      invited(...E2, ...keep()),
      respond(180),
      asked('CANCEL'),
      { ...respond(200), repeated: false },
      respond(200, { to: 'invite', body: BOB }),
      asked('ACK'),
      asked('BYE'),
      ok(),
    ],
  },
  {
    name: 'race-bye-crosses-reinvite',
    shows: 'The callee hangs up instead of answering a re-INVITE: both are settled, nothing is left.',
    conformance: [['RFC 3261 15.1.2', 'BYE ends a pending re-INVITE with 487']],
    uac: [
      ...bootstrapped.uac,
      reinvite(2, HOLD.offer(2)),
      ...maybe(100),
      expect(487),
      ackFailure(2, { inDialog: true }),
      expect('BYE'),
      reply(200),
    ],
    uas: [
      ...bootstrapped.uasKeeping,
      asked('INVITE', ...keep('reinvite')),
      ask('BYE', 1),
      expect(200),
      answers(487, { to: 'reinvite' }),
      asked('ACK'),
    ],
  },
  {
    name: 'race-bye-while-reinvite',
    shows: 'The caller hangs up while its own re-INVITE is open.',
    conformance: [['RFC 3261 15.1.1', 'BYE behind an open re-INVITE of the same side']],
    uac: [
      ...bootstrapped.uac,
      reinvite(2, HOLD.offer(2)),
      expect(100),
      bye(3),
      expect(487),
      ackFailure(2, { inDialog: true }),
      expect(200),
    ],
    uas: [
      ...bootstrapped.uasKeeping,
      asked('INVITE', ...keep('reinvite')),
      asked('BYE'),
      ok(),
      answers(487, { to: 'reinvite' }),
      asked('ACK'),
    ],
  },
  {
    name: 'race-byes-cross',
    shows: 'Both hang up at once: each BYE is answered.',
    conformance: [['RFC 3261 15.1.2', 'BYEs that cross are both answered']],
    uac: [...bootstrapped.uac, ...hangsUp(2)],
    uas: [...bootstrapped.uasKeeping, asked('BYE', ...keep('bye')), ask('BYE', 1), expect(200), ok({ to: 'bye' })],
  },
  {
    name: 'race-overlapping-reinvites',
    shows: 'A second re-INVITE while the first is open: 500 with Retry-After, the first one completes.',
    conformance: [['RFC 3261 14.2', '500 with Retry-After while an INVITE of the same side is open']],
    uac: [
      ...bootstrapped.uac,
      reinvite(2, HOLD.offer(2)),
      expect(100),
      reinvite(3, HOLD.offer(2)),
      ...maybe(100),
      expect(500, header('Retry-After', '[0-9]+')),
      ackFailure(3, { inDialog: true }),
      ...tells(4),
      expect(200, ...HOLD.atAlice),
      ack(2),
      ...hangsUp(5),
    ],
    uas: [
      ...bootstrapped.uasKeeping,
      asked('INVITE', body('m=audio 40000 ', 'a=sendonly'), ...keep('reinvite')),
      ...isTold(),
      answers(200, { to: 'reinvite', body: HOLD.answer(2) }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
];
