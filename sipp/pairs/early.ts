import { request as ask, asked, invited, isCancelled, keep, ok, respond } from '../script/callee.ts';
import { ack, ackFailure, cancel, establishes, expect, invite, maybe, request } from '../script/caller.ts';
import { body, header, LINE, mediaLines, save } from '../script/check.ts';
import { APP, applicationLine, audio, receiverLine, sdp, senderLine } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import { ANSWER, E2, E4, hangsUp, isHungUpOn, isTold, OFFER, tells } from './flows.ts';

/** Everything before the 2xx. */

const ALICE = sdp('alice', 1, ...OFFER);
const BOB = sdp('bob', 1, ...ANSWER);
const RELIABLE = ['Require: 100rel', 'RSeq: 4711'];
const RSEQ = save('rseq', 'RSeq', '[0-9]+');
/** PRACK of the reliable 1xx whose RSeq `RSEQ` kept. */
const prack = (cseq: number, text = '') => request('PRACK', cseq, { body: text, headers: ['RAck: [$rseq] 1 INVITE'] });
/** RAck names the RSeq of the callee's own leg, and the INVITE as it counts there. */
const RACK = header('RAck', '4711 [0-9]+ INVITE');
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
    uac: [
      invite({ body: ALICE, headers: ['Require: 100rel'] }),
      ...maybe(100),
      establishes(183, ...E4, RSEQ),
      prack(2),
      expect(200),
      ...maybe(180),
      establishes(200),
      ack(),
      ...hangsUp(3),
    ],
    uas: [
      invited(...E2, ...keep()),
      respond(183, { body: BOB, headers: RELIABLE }),
      asked('PRACK', RACK),
      ok(),
      respond(180, { to: 'invite' }),
      respond(200, { to: 'invite' }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'prack-offer',
    shows: 'PRACK carries a second offer, its 200 the answer: an application channel before the call is answered.',
    conformance: [['RFC 3262 5', 'an offer in PRACK, its answer in the 200 to PRACK']],
    uac: [
      invite({ body: ALICE, headers: ['Require: 100rel'] }),
      ...maybe(100),
      establishes(183, ...E4, RSEQ),
      prack(2, sdp('alice', 2, ...OFFER, applicationLine('alice', { app: APP.past, setup: 'actpass' }))),
      expect(
        200,
        body('m=audio 42000 ', LINE.own, LINE.sender, 'm=application 42020 ', 'a=dcmap:1000 '),
        ...mediaLines(4),
      ),
      ...maybe(180),
      establishes(200),
      ack(),
      ...hangsUp(3),
    ],
    uas: [
      invited(...E2, ...keep()),
      respond(183, { body: BOB, headers: RELIABLE }),
      asked(
        'PRACK',
        RACK,
        body('m=audio 40000 ', LINE.sender, LINE.receiver, 'm=application 40020 '),
        ...mediaLines(4),
      ),
      ok({ body: sdp('bob', 2, ...ANSWER, applicationLine('bob', { app: APP.past, setup: 'passive' })) }),
      respond(180, { to: 'invite' }),
      respond(200, { to: 'invite' }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'offer-in-183',
    shows: 'INVITE without SDP: the offer comes in a reliable 183, the answer in PRACK.',
    conformance: [['RFC 3262 5', 'an offer in a reliable provisional response, its answer in PRACK']],
    uac: [
      invite({ body: '', headers: ['Require: 100rel'] }),
      ...maybe(100),
      establishes(183, body('m=audio 42000 '), ...mediaLines(1), RSEQ),
      prack(2, sdp('alice', 1, audio('alice'))),
      expect(200),
      ...maybe(180),
      establishes(200),
      ack(),
      ...hangsUp(3),
    ],
    uas: [
      invited(header('X-Untouched', 'two  spaces'), ...keep()),
      respond(183, { body: sdp('bob', 1, audio('bob')), headers: RELIABLE }),
      asked('PRACK', RACK, body('m=audio 40000 '), ...mediaLines(1)),
      ok(),
      respond(180, { to: 'invite' }),
      respond(200, { to: 'invite' }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'preconditions',
    shows: 'VoLTE preconditions: 183, PRACK, UPDATE when the bearer is there, then ringing; data channels meanwhile.',
    conformance: [
      ['RFC 3312', 'preconditions pass untouched'],
      ['RFC 3311', 'UPDATE with an offer before the call is answered'],
    ],
    uac: [
      invite({
        body: sdp('alice', 1, audio('alice', 'sendrecv', ...qos('none')), ...OFFER.slice(1)),
        headers: ['Require: 100rel'],
      }),
      ...maybe(100),
      establishes(183, body('m=audio 42000 ', 'a=curr:qos local none', 'a=conf:qos remote sendrecv'), ...E4, RSEQ),
      prack(2),
      expect(200),
      request('UPDATE', 3, {
        body: sdp('alice', 2, audio('alice', 'sendrecv', ...qos('sendrecv')), ...OFFER.slice(1)),
      }),
      expect(200, body('a=curr:qos local sendrecv'), ...E4),
      ...maybe(180),
      establishes(200),
      ack(),
      ...hangsUp(4),
    ],
    uas: [
      invited(body('a=curr:qos local none.*a=des:qos mandatory local sendrecv'), ...E2, ...keep()),
      respond(183, {
        body: sdp('bob', 1, audio('bob', 'sendrecv', ...qos('none'), 'a=conf:qos remote sendrecv'), ...ANSWER.slice(1)),
        headers: RELIABLE,
      }),
      asked('PRACK', RACK),
      ok(),
      asked('UPDATE', body('a=curr:qos local sendrecv', LINE.sender, LINE.receiver), ...mediaLines(3)),
      ok({ body: sdp('bob', 2, audio('bob', 'sendrecv', ...qos('sendrecv')), ...ANSWER.slice(1)) }),
      respond(180, { to: 'invite' }),
      respond(200, { to: 'invite' }),
      asked('ACK'),
      ...isHungUpOn(),
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
    uac: [invite({ body: ALICE }), ...maybe(100, 180), establishes(200, ...E4), ack(), ...hangsUp(2)],
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
  {
    name: 'forking',
    shows: 'Two early dialogs: the first branch rings with SDP, the second answers; its answer counts.',
    conformance: [
      ['RFC 3261 12.1', 'each To tag is an early dialog of its own, also for the caller'],
      ['R20', 'our lines are the same in all early dialogs; the losers go at the 2xx'],
    ],
    uac: [
      invite({ body: ALICE }),
      ...maybe(100),
      expect(183, ...E4, header('To', 'tag=.+-s0')),
      expect(180, header('To', 'tag=.+-s1')),
      establishes(200, ...E4, header('To', 'tag=.+-s1')),
      ack(),
      ...hangsUp(2),
    ],
    uas: [
      invited(...E2),
      respond(183, { body: BOB, tag: 'loser' }),
      respond(180),
      respond(200, { body: BOB }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'forking-two-answers',
    shows: 'Both branches answer in a 183 of their own: A sees the same lines in each, the second branch wins.',
    conformance: [['R20', 'one association per early dialog, our lines the same in each']],
    uac: [
      invite({ body: ALICE }),
      ...maybe(100),
      expect(183, ...E4, header('To', 'tag=.+-s0')),
      expect(183, ...E4, header('To', 'tag=.+-s1')),
      establishes(200, ...E4, header('To', 'tag=.+-s1')),
      ack(),
      ...hangsUp(2),
    ],
    uas: [
      invited(...E2),
      respond(183, {
        tag: 'loser',
        body: sdp('bob', 1, audio('bob'), senderLine('bob', { port: 42_112 }), receiverLine('bob', { port: 42_114 })),
      }),
      respond(183, { body: BOB }),
      respond(200, { body: BOB }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'cancel',
    shows: 'CANCEL while ringing: 200 to the CANCEL, 487 to the INVITE, everything given back.',
    conformance: [['RFC 3261 9', 'CANCEL through the B2BUA, its Reason with it']],
    uac: [invite({ body: ALICE }), ...maybe(100), expect(180), cancel(), expect(200), expect(487), ackFailure()],
    uas: [invited(...E2, ...keep()), respond(180), ...isCancelled(header('Reason', 'cause=487'))],
  },
  {
    name: 'cancel-after-183',
    shows: 'CANCEL after early media: the associations that the 183 started end.',
    conformance: [['RFC 3261 9', 'CANCEL after an answer in 183']],
    uac: [invite({ body: ALICE }), ...maybe(100), expect(183, ...E4), cancel(), expect(200), expect(487), ackFailure()],
    uas: [invited(...E2, ...keep()), respond(183, { body: BOB }), ...isCancelled()],
  },
  {
    name: 'cancel-at-once',
    shows: 'CANCEL right behind the INVITE, mostly while the DCSF is still asked: 487 at once.',
    conformance: [['R18', 'CANCEL while the INVITE is held: 487 at once']],
    uac: [invite({ body: ALICE }), expect(100), cancel(), ...maybe(180), expect(200), expect(487), ackFailure()],
    run: { uasMayMiss: true },
    uas: [invited(...keep()), respond(180), ...isCancelled()],
  },
];
