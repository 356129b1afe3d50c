import { answers, request as ask, asked, ok, respond, trying } from '../script/callee.ts';
import { ackFailure, cancel, expect, reinvite, reply, request } from '../script/caller.ts';
import { body, header, keep, LINE, mediaLines, save } from '../script/check.ts';
import { sdp } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import {
  bootstrapped,
  calleeOffers,
  callerIsOffered,
  calls,
  callsInVain,
  hangsUp,
  isCalled,
  isCalledAgain,
  isHungUpOn,
  isOffered,
  isRefreshed,
  offers,
  refreshes,
  TIMER,
} from './flows.ts';
import { ALICE, ANSWER, alicePast, BOB, bobPast, E2, E4, HOLD, HOLD_BY_BOB, OFFER } from './media.ts';

/** What happens in an established call. */

const HOUR_S = 3600;

export const DIALOG: readonly Pair[] = [
  {
    name: 'hold-resume',
    shows: 'Hold and resume: audio changes direction, the data channel lines stay as they are.',
    conformance: [
      ['RFC 3264 8.4', 'hold and resume'],
      ['R12', 'a re-INVITE that changes nothing in a data channel line begins no association'],
    ],
    uac: [
      ...bootstrapped.uac,
      ...offers(2, HOLD.offer(2), HOLD.atAlice),
      ...offers(3, sdp('alice', 3, ...OFFER), [
        body('m=audio 42000 ', 'a=sendrecv', LINE.own, LINE.sender),
        ...mediaLines(3),
      ]),
      ...hangsUp(4),
    ],
    uas: [
      ...bootstrapped.uasKeeping,
      ...isOffered(HOLD.answer(2), HOLD.atBob, ...mediaLines(3)),
      ...isOffered(
        sdp('bob', 3, ...ANSWER),
        body('m=audio 40000 ', 'a=sendrecv', LINE.sender, LINE.receiver),
        ...mediaLines(3),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'hold-by-callee',
    shows: 'The callee holds the call: its re-INVITE goes to the served caller, whose lines stay.',
    conformance: [['RFC 3264 8.4', 'hold by the callee; used-by is flipped in its offer (R8)']],
    uac: [...bootstrapped.uac, ...callerIsOffered(HOLD_BY_BOB.answer(2), HOLD_BY_BOB.atAlice), ...hangsUp(2)],
    uas: [...bootstrapped.uasKeeping, ...calleeOffers(1, HOLD_BY_BOB.offer(2), ...HOLD_BY_BOB.atBob), ...isHungUpOn()],
  },
  {
    name: 'cancel-reinvite',
    shows: 'A re-INVITE is cancelled: 487, everything is as before, and the next one works.',
    conformance: [['RFC 3261 9', 'CANCEL of a re-INVITE ends the attempt, not the call']],
    uac: [
      ...bootstrapped.uac,
      reinvite(2, HOLD.offer(2)),
      expect(100),
      cancel(2),
      expect(200),
      expect(487),
      ackFailure(2, { inDialog: true }),
      ...offers(3, HOLD.offer(2), HOLD.atAlice),
      ...hangsUp(4),
    ],
    uas: [
      ...bootstrapped.uasKeeping,
      asked('INVITE', body('a=sendonly'), ...keep('reinvite')),
      trying(),
      asked('CANCEL'),
      ok(),
      answers(487, { to: 'reinvite' }),
      asked('ACK'),
      ...isOffered(HOLD.answer(2), HOLD.atBob, ...mediaLines(3)),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'update',
    shows: 'UPDATE in the established call: an application channel without a three-way handshake.',
    conformance: [['RFC 3311', 'UPDATE with an offer in an established call']],
    uac: [
      ...bootstrapped.uac,
      request('UPDATE', 2, { body: sdp('alice', 2, ...OFFER, alicePast) }),
      expect(200, body(LINE.own, LINE.sender), body('m=application 42020 ', 'a=dcmap:1000 '), ...mediaLines(4)),
      ...hangsUp(3),
    ],
    uas: [
      ...bootstrapped.uasKeeping,
      asked('UPDATE', body('m=audio 40000 ', LINE.sender, LINE.receiver, 'm=application 40020 '), ...mediaLines(4)),
      ok({ body: sdp('bob', 2, ...ANSWER, bobPast) }),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'update-by-callee',
    shows: 'The callee holds the answered call by UPDATE: its offer goes to the served caller, whose lines stay.',
    conformance: [['RFC 3311', 'UPDATE with an offer of the callee in an established call']],
    uac: [
      ...bootstrapped.uac,
      expect('UPDATE', HOLD_BY_BOB.atAlice, ...mediaLines(3)),
      reply(200, { body: HOLD_BY_BOB.answer(2), once: true }),
      ...hangsUp(2),
    ],
    uas: [
      ...bootstrapped.uasKeeping,
      ask('UPDATE', 1, { body: HOLD_BY_BOB.offer(2) }),
      expect(200, ...HOLD_BY_BOB.atBob),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'session-timer-uac',
    shows: 'The caller refreshes the session by re-INVITE: everything stays as it was.',
    conformance: [['RFC 4028', 'refresh by the caller, re-INVITE']],
    uac: [
      ...calls({ body: ALICE }, ...E4, header('Session-Expires', '1800;refresher=uac')),
      ...refreshes(2),
      ...hangsUp(3),
    ],
    uas: [
      ...isCalled([...E2, header('Session-Expires', '1800')], BOB, { headers: TIMER }),
      ...isRefreshed(),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'session-timer-uas',
    shows: 'The callee refreshes the session by UPDATE without SDP.',
    conformance: [['RFC 4028', 'refresh by the callee, UPDATE']],
    uac: [
      ...calls({ body: ALICE, refresher: 'uas' }, ...E4, header('Session-Expires', 'refresher=uas')),
      expect('UPDATE', header('Session-Expires', '1800;refresher=uac')),
      reply(200, { headers: TIMER }),
      ...hangsUp(2),
    ],
    uas: [
      ...isCalled([...E2, ...keep()], BOB, { headers: ['Session-Expires: 1800;refresher=uas', 'Require: timer'] }),
      ask('UPDATE', 1, { headers: ['Session-Expires: 1800;refresher=uac'] }),
      expect(200, header('Session-Expires', '1800')),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'session-timer-too-small',
    shows:
      'The callee wants fewer refreshes: 422 with its Min-SE passes, the second INVITE asks for an hour and gets it.',
    conformance: [['RFC 4028 7.2', '422 passes with Min-SE, and the INVITE that obeys it']],
    uac: [
      ...callsInVain({ body: ALICE }, 422, header('Min-SE', '3600')),
      ...calls(
        { body: ALICE, cseq: 2, expires: HOUR_S, minSe: HOUR_S },
        ...E4,
        header('Session-Expires', '3600;refresher=uac'),
      ),
      ...hangsUp(3),
    ],
    uas: isCalledAgain(
      [...E2, save('enough', 'Session-Expires', '3600')],
      'enough',
      respond(422, { headers: [`Min-SE: ${HOUR_S}`] }),
      respond(200, { body: BOB, headers: [`Session-Expires: ${HOUR_S};refresher=uac`, 'Require: timer'] }),
    ),
    run: { uasCalls: 2 },
  },
  {
    name: 'requests-inside',
    shows: "INFO, MESSAGE and OPTIONS inside the dialog are the other side's to answer.",
    conformance: [['RFC 3261 12.2', 'requests inside a dialog pass, with their bodies']],
    uac: [
      ...bootstrapped.uac,
      request('INFO', 2, { body: 'Signal=5', contentType: 'application/dtmf-relay' }),
      expect(200),
      request('MESSAGE', 3, { body: 'hello', contentType: 'text/plain' }),
      expect(200),
      request('OPTIONS', 4),
      expect(200, header('Allow', 'INVITE')),
      ...hangsUp(5),
    ],
    uas: [
      ...bootstrapped.uasKeeping,
      asked('INFO', header('Content-Type', 'application/dtmf-relay'), body('Signal=5')),
      ok(),
      asked('MESSAGE', body('hello')),
      ok(),
      asked('OPTIONS'),
      ok(),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'bye-by-callee',
    shows: 'The callee hangs up.',
    conformance: [['RFC 3261 15', 'BYE of the callee']],
    uac: [...bootstrapped.uac, expect('BYE'), reply(200)],
    uas: [...bootstrapped.uasKeeping, ask('BYE', 1), expect(200)],
  },
];
