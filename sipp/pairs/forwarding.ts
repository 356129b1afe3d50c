import { asked, invited, respond } from '../script/callee.ts';
import { ack, ackFailure, establishes, expect, invite, maybe } from '../script/caller.ts';
import { header, save } from '../script/check.ts';
import { sdp } from '../script/sdp.ts';
import { label, type Pair } from '../script/steps.ts';
import { ANSWER, E2, E4, hangsUp, isHungUpOn, OFFER } from './flows.ts';

/** The callee, or an AS of his, sends the call on to somebody else. */

const ALICE = sdp('alice', 1, ...OFFER);
const BOB = sdp('bob', 1, ...ANSWER);

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

export const FORWARDING: readonly Pair[] = [
  {
    name: 'forwarding',
    shows:
      '181 Call Is Being Forwarded with its history passes; who rings and answers then has another To tag, and his answer counts.',
    conformance: [
      ['24.604 4.5.2.6', '181 passes with History-Info and Diversion untouched'],
      ['RFC 3261 12.1', 'the forwarded-to party is an early dialog of its own, also for the caller'],
    ],
    uac: [
      invite({ body: ALICE }),
      ...maybe(100),
      expect(181, ...SEEN_HISTORY, header('To', 'tag=.+-s0')),
      expect(180, ...SEEN_HISTORY, header('To', 'tag=.+-s1')),
      establishes(200, ...E4, ...SEEN_HISTORY, header('To', 'tag=.+-s1')),
      ack(),
      ...hangsUp(2),
    ],
    uas: [
      invited(...E2),
      respond(181, { tag: 'forwarder', headers: HISTORY }),
      respond(180, { headers: HISTORY }),
      respond(200, { body: BOB, headers: HISTORY }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'forwarding-after-183',
    shows:
      'The callee has sent early media and is forwarded on no reply: 181, then another party answers with lines of his own.',
    conformance: [
      ['R20', 'the winner is not the branch that answered first: our lines stay, the loser is released'],
      ['24.604 4.5.2.6', '181 after an early answer'],
    ],
    uac: [
      invite({ body: ALICE }),
      ...maybe(100),
      expect(183, ...E4, header('To', 'tag=.+-s0')),
      expect(181, header('To', 'tag=.+-s0')),
      expect(180, header('To', 'tag=.+-s1')),
      establishes(200, ...E4, header('To', 'tag=.+-s1')),
      ack(),
      ...hangsUp(2),
    ],
    uas: [
      invited(...E2),
      respond(183, { tag: 'forwarder', body: sdp('bob', 1, ...ANSWER) }),
      respond(181, { tag: 'forwarder', headers: HISTORY }),
      respond(180),
      respond(200, { body: BOB }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
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
      invite({ body: ALICE }),
      ...maybe(100),
      expect(302, header('Contact', '<sip:voicemail-[0-9]+@ims.example.com;cause=486>;q=0.7')),
      ackFailure(),
      invite({ body: ALICE, callee: VOICEMAIL, cseq: 2 }),
      ...maybe(100, 180),
      establishes(200, ...E4),
      ack(2, { callee: VOICEMAIL }),
      ...hangsUp(3, { callee: VOICEMAIL }),
    ],
    uas: [
      {
        ...invited(...E2, save('forwarded', 'To', 'voicemail-'), header('History-Info', 'index=1')),
        jump: { to: '1', when: 'forwarded' },
      },
      respond(302, { headers: [REDIRECTED] }),
      { ...asked('ACK'), jump: { to: '2' } },
      label('1'),
      respond(180),
      respond(200, { body: BOB }),
      asked('ACK'),
      ...isHungUpOn(),
      label('2'),
    ],
    run: { uasCalls: 2 },
  },
];
