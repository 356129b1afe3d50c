import { asked, ok } from '../script/callee.ts';
import { expect, reply } from '../script/caller.ts';
import { body, header, keep, LINE, LIVE, mediaLines, remember, sameAssociation } from '../script/check.ts';
import { applicationLine, sdp } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import { calls, hangsUp, isCalled, isHungUpOn, isOffered, isRefreshed, offers, refreshes, TIMER } from './flows.ts';
import { ALICE, ANSWER, BOB, E2, E4, OFFER, SECOND, SECOND_AT_BOB } from './media.ts';

const KEEPS = [...remember('own', 0), ...remember('sender', 100)];
const KEPT = [...sameAssociation('own', 0), ...sameAssociation('sender', 100)];

/** The AS ends by kill -9 while the call is up, and is started again. */
export const RESTART: readonly Pair[] = [
  {
    name: 'restart',
    shows:
      'The AS is killed in mid-call and started again: it asks both sides, the session is refreshed, gets an application, BYE ends it.',
    conformance: [
      ['RFC 4028', 'a session is refreshed over a restart of the AS'],
      ['RFC 3261 11.2', 'OPTIONS inside the dialogs of calls that were restored'],
      ['R12', 'a re-INVITE after a restart changes nothing in a data channel line'],
    ],
    uac: [
      ...calls({ body: ALICE }, ...E4, ...KEEPS, header('Session-Expires', '1800;refresher=uac')),
      expect('OPTIONS'),
      reply(200),
      ...refreshes(2, ...KEPT),
      ...offers(3, sdp('alice', 2, ...OFFER, applicationLine('alice', SECOND)), [
        body(LINE.own, LINE.sender, LIVE, 'a=dcmap:1004 '),
        ...KEPT,
        ...mediaLines(4),
      ]),
      ...hangsUp(4),
    ],
    uas: [
      ...isCalled([...E2, ...keep(), header('Session-Expires', '1800')], BOB, { headers: TIMER }),
      asked('OPTIONS'),
      ok(),
      ...isRefreshed(),
      ...isOffered(
        sdp('bob', 2, ...ANSWER, applicationLine('bob', SECOND_AT_BOB)),
        body(LINE.sender, LINE.receiver, LIVE, 'a=dcmap:1004 '),
        ...mediaLines(4),
      ),
      ...isHungUpOn(),
    ],
    run: { accident: { kind: 'asRestarted' }, retransmissions: 'any' },
  },
];
