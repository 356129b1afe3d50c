import { ackFailure as acksFailure, answers, request as ask, asked, keep } from '../script/callee.ts';
import { expect, maybe } from '../script/caller.ts';
import { body, mediaLines } from '../script/check.ts';
import { flipped, sdp } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import { bootstrapped, hangsUp, isHungUpOn, isOffered, offers, offersInVain } from './flows.ts';
import { ANSWER, HELD_AT_ALICE, HOLD_AT_BOB, held, hold } from './media.ts';

/** Both ends want to change the session at once (RFC 3261 14). */

export const GLARE: readonly Pair[] = [
  {
    name: 'glare-at-callee',
    shows: 'Both want to change the session; the callee answers 491, the caller waits and tries again.',
    conformance: [['RFC 3261 14.1', '491 passes; the second attempt succeeds']],
    uac: [...bootstrapped.uac, ...offersInVain(2, hold(2), 491), ...offers(3, hold(2), HELD_AT_ALICE), ...hangsUp(4)],
    uas: [
      ...bootstrapped.uasKeeping,
      asked('INVITE', body('a=sendonly')),
      answers(491),
      asked('ACK'),
      ...isOffered(held(2), HOLD_AT_BOB, ...mediaLines(3)),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'glare-at-as',
    shows: "The callee sends a re-INVITE while the caller's is open: 491 from the AS; the first one goes on.",
    conformance: [['RFC 3261 14.2', '491 while an INVITE of the other direction is open']],
    uac: [...bootstrapped.uac, ...offers(2, hold(2), HELD_AT_ALICE), ...hangsUp(3)],
    uas: [
      ...bootstrapped.uasKeeping,
      asked('INVITE', body('a=sendonly'), ...keep('reinvite')),
      ask('INVITE', 1, { body: sdp('bob', 2, ...ANSWER.map(flipped)) }),
      ...maybe(100),
      expect(491),
      acksFailure(1),
      answers(200, { to: 'reinvite', body: held(2) }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
];
