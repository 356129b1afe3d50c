import { answers, asked, invited, keep, ok, respond } from '../script/callee.ts';
import { ack, expect, maybe, reinvite, reply } from '../script/caller.ts';
import { body, header, LINE, LIVE, mediaLines, remember, sameAssociation } from '../script/check.ts';
import { applicationLine, sdp } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import { ANSWER, calls, E2, E4, hangsUp, isHungUpOn, OFFER, SECOND, SECOND_AT_BOB } from './flows.ts';

const KEEPS = [...remember('own', 0), ...remember('sender', 100)];
const KEPT = [...sameAssociation('own', 0), ...sameAssociation('sender', 100)];
const TIMER = ['Session-Expires: 1800;refresher=uac', 'Require: timer'];

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
      ...calls({ body: sdp('alice', 1, ...OFFER) }, ...E4, ...KEEPS, header('Session-Expires', '1800;refresher=uac')),
      expect('OPTIONS'),
      reply(200),
      reinvite(2, sdp('alice', 1, ...OFFER), { headers: ['Session-Expires: 1800;refresher=uac'] }),
      ...maybe(100),
      expect(200, ...E4, ...KEPT, header('Session-Expires', '1800')),
      ack(2),
      reinvite(3, sdp('alice', 2, ...OFFER, applicationLine('alice', SECOND))),
      ...maybe(100),
      expect(200, body(LINE.own, LINE.sender, LIVE, 'a=dcmap:1004 '), ...KEPT, ...mediaLines(4)),
      ack(3),
      ...hangsUp(4),
    ],
    uas: [
      invited(...E2, ...keep(), header('Session-Expires', '1800')),
      respond(180),
      respond(200, { body: sdp('bob', 1, ...ANSWER), headers: TIMER }),
      asked('ACK'),
      asked('OPTIONS'),
      ok(),
      asked('INVITE', header('Session-Expires', '1800'), body(LINE.sender, LINE.receiver), ...mediaLines(3)),
      answers(200, { body: sdp('bob', 1, ...ANSWER), headers: TIMER }),
      asked('ACK'),
      asked('INVITE', body(LINE.sender, LINE.receiver, LIVE, 'a=dcmap:1004 '), ...mediaLines(4)),
      answers(200, { body: sdp('bob', 2, ...ANSWER, applicationLine('bob', SECOND_AT_BOB)) }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
    run: { accident: { kind: 'asRestarted' }, retransmissions: 'any' },
  },
];
