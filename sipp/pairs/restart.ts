import { answers, asked, invited, keep, ok, respond } from '../script/callee.ts';
import { ack, expect, maybe, reinvite, reply } from '../script/caller.ts';
import { body, header, LINE, mediaLines } from '../script/check.ts';
import { sdp } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import { ANSWER, calls, E2, E4, hangsUp, isHungUpOn, OFFER } from './flows.ts';

const TIMER = ['Session-Expires: 1800;refresher=uac', 'Require: timer'];

/** The AS ends by kill -9 while the call is up, and is started again. */
export const RESTART: readonly Pair[] = [
  {
    name: 'restart',
    shows: 'The AS is killed in mid-call and started again: it asks both sides, the session is refreshed, BYE ends it.',
    conformance: [
      ['RFC 4028', 'a session is refreshed over a restart of the AS'],
      ['RFC 3261 11.2', 'OPTIONS inside the dialogs of calls that were restored'],
      ['R12', 'a re-INVITE after a restart changes nothing in a data channel line'],
    ],
    uac: [
      ...calls({ body: sdp('alice', 1, ...OFFER) }, ...E4, header('Session-Expires', '1800;refresher=uac')),
      expect('OPTIONS'),
      reply(200),
      reinvite(2, sdp('alice', 1, ...OFFER), { headers: ['Session-Expires: 1800;refresher=uac'] }),
      ...maybe(100),
      expect(200, ...E4, header('Session-Expires', '1800')),
      ack(2),
      ...hangsUp(3),
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
      ...isHungUpOn(),
    ],
    run: { accident: { kind: 'asRestarted' }, retransmissions: 'any' },
  },
];
