import { answers, request as ask, asked, invited, ok, respond } from '../script/callee.ts';
import { ack, establishes, expect, invite, maybe, reply, request } from '../script/caller.ts';
import { body, header, keep, LINE, LIVE, mediaLines } from '../script/check.ts';
import { APP, applicationLine, audio, sdp } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import {
  answersAtLast,
  calls,
  callsReliably,
  getsThrough,
  hangsUp,
  hearsReliably,
  isHungUpOn,
  isOffered,
  isTold,
  offers,
  prack,
  progresses,
  RACK,
  RELIABLE,
  RSEQ,
  tells,
} from './flows.ts';
import {
  ALICE,
  ANSWER,
  alicePast,
  BOB,
  bobPast,
  E2,
  E4,
  HOLD,
  HOLD_BY_BOB,
  OFFER,
  PLAIN,
  PLAIN_AT_ALICE,
  PLAIN_AT_BOB,
} from './media.ts';

/** Between the INVITE and its 2xx: early media, PRACK, UPDATE, preconditions. */

/** Preconditions of RFC 3312 as a VoLTE handset writes them. */
const qos = (current: 'none' | 'sendrecv') => [
  `a=curr:qos local ${current}`,
  'a=curr:qos remote none',
  'a=des:qos mandatory local sendrecv',
  'a=des:qos optional remote sendrecv',
];

export const EARLY: readonly Pair[] = [
  {
    name: 'early-media',
    shows: 'The answer comes in an unreliable 183, is repeated in the 200, and is the same for our lines both times.',
    conformance: [
      ['RFC 3261 13.2.1', 'an answer in an unreliable provisional response, repeated in the 2xx'],
      ['R5', 'associations may start with the first 18x that carries the answer'],
    ],
    uac: [
      invite({ body: ALICE }),
      ...maybe(100),
      expect(183, ...E4),
      ...maybe(180),
      establishes(200, ...E4),
      ack(),
      ...hangsUp(2),
    ],
    uas: [
      invited(...E2),
      respond(183, { body: BOB }),
      respond(180),
      respond(200, { body: BOB }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'prack',
    shows: 'The answer comes in a reliable 183; PRACK; 180; 200 without SDP.',
    conformance: [['RFC 3262', 'PRACK through the B2BUA with RSeq mapped per leg']],
    uac: [...hearsReliably(ALICE, ...E4), ...getsThrough(3)],
    uas: [...progresses(E2, BOB), ...answersAtLast()],
  },
  {
    name: 'prack-offer',
    shows: 'PRACK carries a second offer, its 200 the answer: an application channel before the call is answered.',
    conformance: [['RFC 3262 5', 'an offer in PRACK, its answer in the 200 to PRACK']],
    uac: [
      ...callsReliably(ALICE, ...E4),
      prack(2, sdp('alice', 2, ...OFFER, alicePast)),
      expect(
        200,
        body('m=audio 42000 ', LINE.own, LINE.sender, 'm=application 42020 ', 'a=dcmap:1000 '),
        ...mediaLines(4),
      ),
      ...getsThrough(3),
    ],
    uas: [
      ...progresses(
        E2,
        BOB,
        [body('m=audio 40000 ', LINE.sender, LINE.receiver, 'm=application 40020 '), ...mediaLines(4)],
        { body: sdp('bob', 2, ...ANSWER, bobPast) },
      ),
      ...answersAtLast(),
    ],
  },
  {
    name: 'prack-offer-later',
    shows:
      'The first PRACK has no SDP; that of a reliable 180 behind it carries the next offer: every PRACK may have one.',
    conformance: [['RFC 3262 5', 'an offer in the PRACK of a later reliable provisional response']],
    uac: [
      ...hearsReliably(ALICE, ...E4),
      expect(180, RSEQ),
      prack(3, HOLD.offer(2)),
      expect(200, ...HOLD.atAlice),
      establishes(200),
      ack(),
      ...hangsUp(4),
    ],
    uas: [
      ...progresses(E2, BOB),
      respond(180, { to: 'invite', headers: ['Require: 100rel', 'RSeq: 4712'] }),
      asked('PRACK', header('RAck', '4712 [0-9]+ INVITE'), HOLD.atBob, ...mediaLines(3)),
      ok({ body: HOLD.answer(2) }),
      respond(200, { to: 'invite' }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'prack-offer-refused',
    shows: 'The callee refuses the offer in PRACK with 488: PRACK counts all the same, and what was agreed stays.',
    conformance: [['RFC 3262 5', 'a refused offer in PRACK acknowledges, and leaves what was agreed before']],
    uac: [
      ...callsReliably(ALICE, ...E4),
      prack(2, sdp('alice', 2, ...OFFER, applicationLine('alice', { app: APP.e2DCe }))),
      expect(488),
      ...maybe(180),
      establishes(200),
      ack(),
      ...offers(3, HOLD.offer(3), HOLD.atAlice),
      ...hangsUp(4),
    ],
    uas: [
      invited(...E2, ...keep()),
      respond(183, { body: BOB, headers: RELIABLE }),
      asked('PRACK', RACK, body(LINE.receiver, LIVE, 'a=dcmap:1000 ')),
      { ...answers(488), repeated: false },
      respond(180, { to: 'invite' }),
      respond(200, { to: 'invite' }),
      asked('ACK'),
      ...isOffered(HOLD.answer(2), HOLD.atBob, ...mediaLines(3)),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'offer-in-183',
    shows: 'INVITE without SDP: the offer comes in a reliable 183, the answer in PRACK.',
    conformance: [['RFC 3262 5', 'an offer in a reliable provisional response, its answer in PRACK']],
    uac: [...callsReliably('', ...PLAIN_AT_ALICE), prack(2, PLAIN.alice), expect(200), ...getsThrough(3)],
    uas: [...progresses([header('X-Untouched', 'two  spaces')], PLAIN.bob, PLAIN_AT_BOB), ...answersAtLast()],
  },
  {
    name: 'preconditions',
    shows: 'VoLTE preconditions: 183, PRACK, UPDATE when the bearer is there, then ringing; data channels meanwhile.',
    conformance: [
      ['RFC 3312', 'preconditions pass untouched'],
      ['RFC 3311', 'UPDATE with an offer before the call is answered'],
    ],
    uac: [
      ...hearsReliably(
        sdp('alice', 1, audio('alice', 'sendrecv', ...qos('none')), ...OFFER.slice(1)),
        body('m=audio 42000 ', 'a=curr:qos local none', 'a=conf:qos remote sendrecv'),
        ...E4,
      ),
      request('UPDATE', 3, {
        body: sdp('alice', 2, audio('alice', 'sendrecv', ...qos('sendrecv')), ...OFFER.slice(1)),
      }),
      expect(200, body('a=curr:qos local sendrecv'), ...E4),
      ...getsThrough(4),
    ],
    uas: [
      ...progresses(
        [body('a=curr:qos local none.*a=des:qos mandatory local sendrecv'), ...E2],
        sdp('bob', 1, audio('bob', 'sendrecv', ...qos('none'), 'a=conf:qos remote sendrecv'), ...ANSWER.slice(1)),
      ),
      asked('UPDATE', body('a=curr:qos local sendrecv', LINE.sender, LINE.receiver), ...mediaLines(3)),
      ok({ body: sdp('bob', 2, audio('bob', 'sendrecv', ...qos('sendrecv')), ...ANSWER.slice(1)) }),
      ...answersAtLast(),
    ],
  },
  {
    name: 'update-early-by-callee',
    shows:
      'The callee puts the call on hold before it answers: UPDATE after a reliable answer, towards the served caller.',
    conformance: [['RFC 3311 5.1', 'UPDATE with an offer of the callee in an early dialog']],
    uac: [
      ...hearsReliably(ALICE, ...E4),
      expect('UPDATE', HOLD_BY_BOB.atAlice, ...mediaLines(3)),
      reply(200, { body: HOLD_BY_BOB.answer(2), once: true }),
      ...getsThrough(3),
    ],
    uas: [
      ...progresses(E2, BOB),
      ask('UPDATE', 1, { body: HOLD_BY_BOB.offer(2) }),
      expect(200, ...HOLD_BY_BOB.atBob),
      ...answersAtLast(),
    ],
  },
  {
    name: 'update-too-early',
    shows: 'UPDATE with an offer while the offer in the INVITE has no answer yet: 500 with Retry-After.',
    conformance: [['RFC 3311 5.2', 'an UPDATE offer of the side whose offer is open: 500 with Retry-After']],
    uac: [
      invite({ body: ALICE }),
      ...maybe(100),
      establishes(180),
      request('UPDATE', 2, { body: sdp('alice', 2, ...OFFER) }),
      expect(500, header('Retry-After', '[0-9]+')),
      ...tells(3),
      establishes(200, ...E4),
      ack(),
      ...hangsUp(4),
    ],
    uas: [
      invited(...E2, ...keep()),
      respond(180),
      ...isTold(),
      respond(200, { to: 'invite', body: BOB }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'update-glare',
    shows: 'The callee offers by UPDATE before it has answered the INVITE: 491, and the call goes on.',
    conformance: [['RFC 3311 5.2', 'an UPDATE offer of the side that has an offer to answer: 491']],
    uac: [...calls({ body: ALICE }, ...E4), ...hangsUp(2)],
    uas: [
      invited(...E2, ...keep()),
      respond(180),
      ask('UPDATE', 1, { body: BOB }),
      expect(491),
      respond(200, { to: 'invite', body: sdp('bob', 2, ...ANSWER) }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
];
