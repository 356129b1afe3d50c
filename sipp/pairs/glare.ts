import { ackFailure as acksFailure, answers, request as ask, asked } from '../script/callee.ts';
import { expect, maybe, reply } from '../script/caller.ts';
import { body, keep, mediaLines } from '../script/check.ts';
import { flipped, sdp } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import {
  bootstrapped,
  calleeOffers,
  callerIsOffered,
  hangsUp,
  isHungUpOn,
  isOffered,
  offers,
  offersInVain,
} from './flows.ts';
import { ANSWER, HOLD, HOLD_BY_BOB } from './media.ts';

/** Both ends want to change the session at once (RFC 3261 14). */

export const GLARE: readonly Pair[] = [
  {
    name: 'glare-at-callee',
    shows: 'Both want to change the session; the callee answers 491, the caller waits and tries again.',
    conformance: [['RFC 3261 14.1', '491 passes; the second attempt succeeds']],
    uac: [
      ...bootstrapped.uac,
      ...offersInVain(2, HOLD.offer(2), 491),
      ...offers(3, HOLD.offer(2), HOLD.atAlice),
      ...hangsUp(4),
    ],
    uas: [
      ...bootstrapped.uasKeeping,
      asked('INVITE', body('a=sendonly')),
      answers(491),
      asked('ACK'),
      ...isOffered(HOLD.answer(2), HOLD.atBob, ...mediaLines(3)),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'glare-at-caller',
    shows:
      'The callee wants to change the session, and the caller answers 491: that passes, and the second attempt too.',
    conformance: [['RFC 3261 14.1', '491 of the caller passes; the second attempt succeeds']],
    uac: [
      ...bootstrapped.uac,
      expect('INVITE', HOLD_BY_BOB.atAlice),
      reply(491),
      expect('ACK'),
      ...callerIsOffered(HOLD_BY_BOB.answer(2), HOLD_BY_BOB.atAlice),
      ...hangsUp(2),
    ],
    uas: [
      ...bootstrapped.uasKeeping,
      ask('INVITE', 1, { body: HOLD_BY_BOB.offer(2) }),
      ...maybe(100),
      expect(491),
      acksFailure(1),
      ...calleeOffers(2, HOLD_BY_BOB.offer(2), ...HOLD_BY_BOB.atBob),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'glare-at-as',
    shows: "The callee sends a re-INVITE while the caller's is open: 491 from the AS; the first one goes on.",
    conformance: [['RFC 3261 14.2', '491 while an INVITE of the other direction is open']],
    uac: [...bootstrapped.uac, ...offers(2, HOLD.offer(2), HOLD.atAlice), ...hangsUp(3)],
    uas: [
      ...bootstrapped.uasKeeping,
      asked('INVITE', body('a=sendonly'), ...keep('reinvite')),
      ask('INVITE', 1, { body: sdp('bob', 2, ...ANSWER.map(flipped)) }),
      ...maybe(100),
      expect(491),
      acksFailure(1),
      answers(200, { to: 'reinvite', body: HOLD.answer(2) }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'glare-at-as-by-caller',
    shows: "The caller sends a re-INVITE while the callee's is open: 491 from the AS; the first one goes on.",
    conformance: [['RFC 3261 14.2', '491 to the caller while an INVITE of the callee is open']],
    uac: [
      ...bootstrapped.uac,
      expect('INVITE', HOLD_BY_BOB.atAlice, ...keep('reinvite')),
      ...offersInVain(2, HOLD.offer(2), 491),
      reply(200, { to: 'reinvite', body: HOLD_BY_BOB.answer(2) }),
      expect('ACK'),
      ...hangsUp(3),
    ],
    uas: [...bootstrapped.uasKeeping, ...calleeOffers(1, HOLD_BY_BOB.offer(2), ...HOLD_BY_BOB.atBob), ...isHungUpOn()],
  },
];
