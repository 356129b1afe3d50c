import { asked, invited, respond } from '../script/callee.ts';
import { ack, establishes, expect, invite, maybe } from '../script/caller.ts';
import { header, save } from '../script/check.ts';
import { audio, receiverLine, sdp, senderLine } from '../script/sdp.ts';
import type { Check, Pair, Send, Step } from '../script/steps.ts';
import { calls, callsInVain, hangsUp, isCalledAgain, isHungUpOn } from './flows.ts';
import { ALICE, BOB, E2, E4 } from './media.ts';

/** Several parties answer one INVITE: a proxy forks it, or the callee, or an AS of his, sends the call on to another one. */

/** The early dialogs as the caller tells them apart. */
const FIRST = header('To', 'tag=.+-s0');
const OTHER = header('To', 'tag=.+-s1');

/** Early messages of several parties, of whom the other one answers. */
const hears = (early: readonly Step[], ...answer: readonly Check[]): readonly Step[] => [
  invite({ body: ALICE }),
  ...maybe(100),
  ...early,
  establishes(200, ...E4, ...answer, OTHER),
  ack(),
  ...hangsUp(2),
];
const isForked = (...responses: readonly Send[]): readonly Step[] => [
  invited(...E2),
  ...responses,
  asked('ACK'),
  ...isHungUpOn(),
];

/** What a forwarding AS says of it (24.604): the whole way of the call, and the same as deployed switches say it. */
const HISTORY = [
  'History-Info: <sip:[field1]@[field2]>;index=1,<sip:carol@ims.example.com;cause=302>;index=1.1;mp=1',
  'Diversion: <sip:[field1]@[field2]>;reason=unconditional;counter=1;privacy=off',
  'Privacy: none',
] as const;
const SEEN_HISTORY = [
  header('History-Info', '<sip:.+>;index=1,<sip:carol@ims.example.com;cause=302>;index=1.1;mp=1'),
  header('Diversion', '<sip:.+>;reason=unconditional;counter=1;privacy=off'),
] as const;

const VOICEMAIL = 'voicemail-[call_number]@ims.example.com';
const REDIRECTED = `Contact: <sip:${VOICEMAIL};cause=486>;q=0.7`;

export const FORKING: readonly Pair[] = [
  {
    name: 'forking',
    shows: 'Two early dialogs: the first branch rings with SDP, the second answers; its answer counts.',
    conformance: [
      ['RFC 3261 12.1', 'each To tag is an early dialog of its own, also for the caller'],
      ['R20', 'our lines are the same in all early dialogs; the losers go at the 2xx'],
    ],
    uac: hears([expect(183, ...E4, FIRST), expect(180, OTHER)]),
    uas: isForked(respond(183, { body: BOB, tag: 'loser' }), respond(180), respond(200, { body: BOB })),
  },
  {
    name: 'forking-two-answers',
    shows: 'Both branches answer in a 183 of their own: A sees the same lines in each, the second branch wins.',
    conformance: [['R20', 'one association per early dialog, our lines the same in each']],
    uac: hears([expect(183, ...E4, FIRST), expect(183, ...E4, OTHER)]),
    uas: isForked(
      respond(183, {
        tag: 'loser',
        body: sdp('bob', 1, audio('bob'), senderLine('bob', { port: 42_112 }), receiverLine('bob', { port: 42_114 })),
      }),
      respond(183, { body: BOB }),
      respond(200, { body: BOB }),
    ),
  },
  {
    name: 'forwarding',
    shows:
      '181 Call Is Being Forwarded with its history passes; who rings and answers then has another To tag, and his answer counts.',
    conformance: [
      ['24.604 4.5.2.6', '181 passes with History-Info and Diversion untouched'],
      ['RFC 3261 12.1', 'the forwarded-to party is an early dialog of its own, also for the caller'],
    ],
    uac: hears([expect(181, ...SEEN_HISTORY, FIRST), expect(180, ...SEEN_HISTORY, OTHER)], ...SEEN_HISTORY),
    uas: isForked(
      respond(181, { tag: 'forwarder', headers: HISTORY }),
      respond(180, { headers: HISTORY }),
      respond(200, { body: BOB, headers: HISTORY }),
    ),
  },
  {
    name: 'forwarding-after-183',
    shows:
      'The callee has sent early media and is forwarded on no reply: 181, then another party answers with lines of his own.',
    conformance: [
      ['R20', 'the winner is not the branch that answered first: our lines stay, the loser is released'],
      ['24.604 4.5.2.6', '181 after an early answer'],
    ],
    uac: hears([expect(183, ...E4, FIRST), expect(181, FIRST), expect(180, OTHER)]),
    uas: isForked(
      respond(183, { tag: 'forwarder', body: BOB }),
      respond(181, { tag: 'forwarder', headers: HISTORY }),
      respond(180),
      respond(200, { body: BOB }),
    ),
  },
  {
    name: 'forwarding-redirected',
    shows:
      '302 goes to the caller, whose S-CSCF calls the new target with the same Call-ID: a new call, with its own channels.',
    conformance: [
      ['RFC 3261 8.1.3.4', '3xx passes; the call to the new target keeps Call-ID, From tag, and counts CSeq on'],
      ['24.604 4.5.2.6', 'History-Info of the redirected call passes'],
    ],
    uac: [
      ...callsInVain({ body: ALICE }, 302, header('Contact', '<sip:voicemail-[0-9]+@ims.example.com;cause=486>;q=0.7')),
      ...calls({ body: ALICE, callee: VOICEMAIL, cseq: 2 }, ...E4),
      ...hangsUp(3, { callee: VOICEMAIL }),
    ],
    uas: isCalledAgain(
      [...E2, save('forwarded', 'To', 'voicemail-'), header('History-Info', 'index=1')],
      'forwarded',
      respond(302, { headers: [REDIRECTED] }),
      respond(200, { body: BOB }),
    ),
    run: { uasCalls: 2 },
  },
];
