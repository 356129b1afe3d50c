import { answers, asked, invited, ok, respond } from '../script/callee.ts';
import { ack, ackFailure, establishes, expect, invite, maybe, reinvite, request } from '../script/caller.ts';
import { body, keep } from '../script/check.ts';
import { type Check, linger, type Pair, pause } from '../script/steps.ts';
import {
  answersAtLast,
  bootstrapped,
  calls,
  callsReliably,
  getsThrough,
  hangsUp,
  isHungUpOn,
  LONGER_THAN_T1_MS,
  prack,
  progresses,
  RACK,
  RELIABLE,
  RSEQ,
  tells,
} from './flows.ts';
import { ALICE, BOB, E2, E4, HOLD, PLAIN, UNTOUCHED } from './media.ts';

/** Messages that do not come, or come twice. */

/** A call on a bad line, which is hung up when all is quiet. */
function onBadLine(text: string, offer: readonly Check[], answer: readonly Check[], answered: string) {
  return {
    uac: [...calls({ body: text }, ...answer), pause(LONGER_THAN_T1_MS), ...hangsUp(2)],
    uas: [
      invited(...offer),
      respond(180),
      respond(200, { body: answered }),
      { ...asked('ACK'), optional: true },
      ...isHungUpOn(),
      // The 200 may be lost: the BYE comes again.
      linger(4_000),
    ],
    run: { lossPercent: 2, retransmissions: 'any' },
  } as const;
}

/** So SIPp sends the INVITE again after T1. */
const LOST_100 = { ...expect(100), optional: true, lostPercent: 100 } as const;

export const LOST: readonly Pair[] = [
  {
    name: 'race-lost-200',
    shows: 'A fifth of the 200s gets lost on its way to the caller: the AS repeats them until the ACK comes.',
    conformance: [['RFC 3261 13.3.1.4', 'a 2xx is repeated until its ACK comes']],
    uac: [
      invite({ body: ALICE }),
      ...maybe(100, 180),
      { ...establishes(200, ...E4), lostPercent: 20 },
      ack(),
      ...hangsUp(2),
    ],
    uas: [...bootstrapped.uas, ...isHungUpOn()],
    run: { retransmissions: 'any' },
  },
  {
    name: 'race-lost-ack',
    shows: 'The first ACK gets lost: the callee repeats its 200 until the second one comes.',
    conformance: [['RFC 3261 13.2.2.4', 'each 2xx is acknowledged, also the repeated one']],
    uac: [
      invite({ body: ALICE }),
      ...maybe(100, 180),
      establishes(200, ...E4),
      { ...ack(), lost: true },
      pause(LONGER_THAN_T1_MS),
      ack(),
      ...hangsUp(2),
    ],
    uas: [...bootstrapped.uas, ...isHungUpOn()],
    run: { retransmissions: 'some' },
  },
  {
    name: 'race-invite-twice',
    shows: 'The 100 gets lost, so the INVITE comes twice: one call, one INVITE onward.',
    conformance: [['RFC 3261 17.2.1', 'a repeated INVITE is absorbed by its server transaction']],
    uac: [invite({ body: ALICE }), LOST_100, ...maybe(180), establishes(200, ...E4), ack(), ...hangsUp(2)],
    uas: [
      invited(...E2),
      pause(LONGER_THAN_T1_MS),
      respond(180),
      respond(200, { body: BOB }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
    run: { retransmissions: 'some' },
  },
  {
    name: 'race-reinvite-twice',
    shows: 'The same with a re-INVITE: the callee sees it once.',
    conformance: [['RFC 3261 17.2.1', 'a repeated re-INVITE is absorbed by its server transaction']],
    uac: [
      ...bootstrapped.uac,
      reinvite(2, HOLD.offer(2)),
      LOST_100,
      expect(200, ...HOLD.atAlice),
      ack(2),
      ...hangsUp(3),
    ],
    uas: [
      ...bootstrapped.uasKeeping,
      asked('INVITE', body('m=audio 40000 ', 'a=sendonly')),
      pause(LONGER_THAN_T1_MS),
      answers(200, { body: HOLD.answer(2) }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
    run: { retransmissions: 'some' },
  },
  {
    name: 'race-lost-prack',
    shows: 'The first PRACK gets lost: the AS and the callee repeat their reliable 183 until the second one comes.',
    conformance: [['RFC 3262 3', 'a PRACK behind a lost one settles the response on both legs']],
    uac: [
      ...callsReliably(ALICE, ...E4),
      { ...prack(2), lost: true, repeated: false },
      pause(LONGER_THAN_T1_MS),
      prack(2),
      expect(200),
      ...getsThrough(3),
    ],
    uas: [...progresses(E2, BOB), ...answersAtLast()],
    run: { retransmissions: 'some' },
  },
  {
    name: 'race-lost-183',
    shows:
      'Every fifth reliable 183 is lost at the caller, and every fifth PRACK at the callee: the AS repeats its own.',
    conformance: [['RFC 3262 3', 'lost reliable responses and lost PRACKs are repeated on each leg']],
    uac: [
      invite({ body: ALICE, headers: ['Require: 100rel'] }),
      ...maybe(100),
      { ...establishes(183, ...E4, RSEQ), lostPercent: 20 },
      prack(2),
      expect(200),
      ...getsThrough(3),
    ],
    uas: [
      invited(...E2, ...keep()),
      respond(183, { body: BOB, headers: RELIABLE }),
      { ...asked('PRACK', RACK), lostPercent: 20 },
      ok(),
      ...answersAtLast(),
    ],
    run: { retransmissions: 'any' },
  },
  {
    name: 'race-lost-failure-ack',
    shows: 'The ACK of a 486 gets lost: the AS repeats the 486 until the second one comes.',
    conformance: [['RFC 3261 17.2.1', 'a failure is repeated until its ACK comes']],
    uac: [
      invite({ body: ALICE }),
      ...maybe(100),
      expect(486),
      { ...ackFailure(), lost: true },
      pause(LONGER_THAN_T1_MS),
      ackFailure(),
    ],
    uas: [invited(...E2), respond(486), asked('ACK')],
    run: { retransmissions: 'any' },
  },
  {
    name: 'race-requests-twice',
    shows: 'UPDATE, INFO and BYE are answered late, so that each is sent again: the callee has each of them once.',
    conformance: [['RFC 3261 17.2.2', 'a repeated request is absorbed by its server transaction']],
    uac: [
      ...bootstrapped.uac,
      request('UPDATE', 2, { body: HOLD.offer(2) }),
      expect(200, ...HOLD.atAlice),
      ...tells(3),
      ...hangsUp(4),
    ],
    uas: [
      ...bootstrapped.uasKeeping,
      asked('UPDATE', body('m=audio 40000 ', 'a=sendonly')),
      pause(LONGER_THAN_T1_MS),
      ok({ body: HOLD.answer(2) }),
      asked('INFO'),
      pause(LONGER_THAN_T1_MS),
      ok(),
      asked('BYE'),
      pause(LONGER_THAN_T1_MS),
      ok(),
    ],
    run: { retransmissions: 'some' },
  },
  {
    name: 'audio-loss',
    shows: 'A plain call on a line that loses 2 % of the messages on both ends: every call completes.',
    conformance: [['RFC 3261 17', 'all calls complete at 2 % loss both ways']],
    ...onBadLine(
      PLAIN.alice,
      [body('m=audio 40000 '), ...UNTOUCHED],
      [body('m=audio 42000 RTP/AVP 104 105')],
      PLAIN.bob,
    ),
  },
  {
    name: 'bootstrap-loss',
    shows: 'The same with bootstrap channels of both networks.',
    conformance: [['RFC 3261 17', 'all calls with data channels complete at 2 % loss both ways']],
    ...onBadLine(ALICE, E2, E4, BOB),
  },
];
