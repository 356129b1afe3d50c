import { respond } from '../script/callee.ts';
import {
  body,
  DEAD,
  keep,
  LINE,
  LIVE,
  mediaLines,
  newAssociation,
  remember,
  sameAssociation,
  without,
} from '../script/check.ts';
import { audio, closed, ownLine, receiverLine, sdp, senderLine } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import {
  bootstrapped,
  calleeOffers,
  callerIsOffered,
  calls,
  callsInVain,
  hangsUp,
  isCalled,
  isCalledInVain,
  isHungUpOn,
  isOffered,
  LEGACY,
  offers,
  registersWithoutTag,
} from './flows.ts';
import {
  ALICE,
  ANSWER,
  BOB,
  E2,
  E4,
  HTTP_100,
  OFFER,
  ONLY_OWN,
  PLAIN,
  PLAIN_AT_ALICE,
  PLAIN_AT_BOB,
  SERVED_ANSWER,
  UNTOUCHED,
} from './media.ts';

const BARRED = 'barred@ims.example.com';
const ICE = [
  'a=ice-ufrag:8hhY',
  'a=ice-pwd:asd88fgpdd777uzjYhagZg',
  'a=candidate:1 1 UDP 2130706431 [media_ip] 40010 typ host',
];

const RENEWED = sdp(
  'alice',
  2,
  audio('alice'),
  ownLine('alice', { tlsId: 'alicesecondtry000001' }),
  senderLine('alice'),
);

export const BOOTSTRAP: readonly Pair[] = [
  {
    name: 'bootstrap-invite',
    shows: 'Bootstrap channels of both networks in the initial INVITE, originating side: E1 in, E2 out, E4 back.',
    conformance: [
      ['24.186 9.3.2.2.1', 'originating bootstrap in the initial INVITE'],
      ['R1', 'originating: 0 ends at our MF, sender is anchored, receiver is added'],
    ],
    uac: [...bootstrapped.uac, ...hangsUp(2)],
    uas: [...bootstrapped.uas, ...isHungUpOn()],
  },
  {
    name: 'bootstrap-terminating',
    shows: 'The far network calls a served user: sender answered here, receiver anchored, the local line added (E3).',
    conformance: [['24.186 9.3.3.2.1', 'terminating bootstrap in the initial INVITE']],
    uac: [
      ...calls(
        {
          serves: 'callee',
          body: sdp('alice', 1, audio('alice'), senderLine('alice', { streams: HTTP_100 }), receiverLine('alice')),
        },
        body('m=audio 42000 ', LINE.sender, LINE.receiver),
        body('a=setup:passive.*a=dcmap:100 .*a=setup:passive.*a=dcmap:100 '),
        ...mediaLines(3),
      ),
      ...hangsUp(2),
    ],
    uas: [
      ...isCalled(
        [body(LINE.own), body(LINE.receiver), without('a=3gpp-bdc-used-by:sender'), ...mediaLines(3), ...UNTOUCHED],
        sdp('bob', 1, ...SERVED_ANSWER),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'bootstrap-reinvite',
    shows: 'A plain call gets both bootstrap channels by a re-INVITE of the caller.',
    conformance: [['24.186 9.3.2.2.2', 'bootstrap by re-INVITE']],
    uac: [
      ...calls({ body: PLAIN.alice }, ...PLAIN_AT_ALICE),
      ...offers(2, sdp('alice', 2, ...OFFER), E4),
      ...hangsUp(3),
    ],
    uas: [
      ...isCalled([...PLAIN_AT_BOB, ...UNTOUCHED], PLAIN.bob),
      ...isOffered(sdp('bob', 2, ...ANSWER), body('m=audio 40000 ', LINE.sender, LINE.receiver), ...mediaLines(3)),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'bootstrap-callee-reinvite',
    shows: 'The served callee of a plain call asks for its bootstrap channels by a re-INVITE of its own.',
    conformance: [['24.186 9.3.3.2.2', 'bootstrap by re-INVITE of the served callee']],
    uac: [
      ...calls({ serves: 'callee', body: PLAIN.alice }, body('m=audio 42000 ')),
      ...callerIsOffered(
        sdp('alice', 2, audio('alice'), senderLine('alice'), receiverLine('alice')),
        body('m=audio 42000 ', LINE.sender, LINE.receiver),
        without('a=dcmap:(0|10|110) '),
      ),
      ...hangsUp(2),
    ],
    uas: [
      ...isCalled([...keep(), body('m=audio 40000 ')], PLAIN.bob),
      ...calleeOffers(
        1,
        sdp('bob', 2, audio('bob'), ownLine('bob'), senderLine('bob')),
        body('m=audio 40000 ', LINE.own, LINE.sender),
        without('a=dcmap:(10|110) '),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'bootstrap-local-only',
    shows: 'The caller asks for its own network only; its network still offers itself to the callee.',
    conformance: [['R1', 'a local line alone: answered here, the receiver line is added']],
    uac: [
      ...calls(
        { body: sdp('alice', 1, audio('alice'), ownLine('alice')) },
        body('m=audio 42000 ', LINE.own),
        ...mediaLines(2),
      ),
      ...hangsUp(2),
    ],
    uas: [
      ...isCalled(
        [body('m=audio 40000 ', LINE.receiver), ...mediaLines(2), without('sender|a=dcmap:(0|10) '), ...UNTOUCHED],
        sdp('bob', 1, audio('bob'), receiverLine('bob')),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'bootstrap-remote-refused',
    shows: 'The far network refuses both lines with port 0: the caller keeps its own bootstrap channel.',
    conformance: [['23.228 AC.7.9', 'peer without data channels by port 0: local bootstrap and voice go on']],
    uac: [...calls({ body: ALICE }, ...ONLY_OWN), ...hangsUp(2)],
    uas: [...isCalled(E2, sdp('bob', 1, audio('bob'), closed(), closed())), ...isHungUpOn()],
  },
  {
    name: 'bootstrap-fewer-lines',
    shows: 'A legacy callee answers with fewer m-lines than were offered; what is missing counts as port 0.',
    conformance: [['ue-side 8.4', 'an answer with fewer m-lines than the offer is survived']],
    uac: [...calls({ body: ALICE }, ...ONLY_OWN), ...hangsUp(2)],
    uas: [...isCalled(E2, PLAIN.bob, { incapable: true }), ...isHungUpOn()],
  },
  {
    name: 'bootstrap-488-retry',
    shows: 'A callee that refuses data channels with 488 is offered the call once more without them.',
    conformance: [['R23', '488 to an offer with data channels: once more without, voice goes on']],
    uac: [...calls({ body: ALICE }, ...ONLY_OWN), ...hangsUp(2)],
    uas: [
      ...isCalledInVain(E2, respond(488, { tag: 'legacy' })),
      ...isCalled(
        [body('m=audio 40000 '), without('m=application [1-9]'), ...UNTOUCHED],
        sdp('bob', 1, audio('bob'), closed(), closed()),
        { incapable: true },
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'bootstrap-incapable-callee',
    shows: 'A callee that registered without the feature tag (third-party REGISTER) is offered audio only.',
    conformance: [
      ['24.229 5.4.1.7', "third-party REGISTER with the handset's own REGISTER as message/sip"],
      ['R23', 'known without data channels: the lines are not offered'],
    ],
    uac: [
      ...registersWithoutTag(),
      ...calls({ callee: LEGACY, body: ALICE }, ...ONLY_OWN),
      ...hangsUp(2, { callee: LEGACY }),
    ],
    uas: [...isCalled([...PLAIN_AT_BOB, ...UNTOUCHED], PLAIN.bob, { incapable: true }), ...isHungUpOn()],
  },
  {
    name: 'bootstrap-barred',
    shows: 'A caller who may not use data channels: the lines are left out onward and answered with port 0.',
    conformance: [['R9', 'not authorised: stripped onward, port 0 in the answer, the call goes on']],
    uac: [
      ...calls({ caller: BARRED, body: ALICE }, body('m=audio 42000 ', DEAD, DEAD), ...mediaLines(3), without(LIVE)),
      ...hangsUp(2, { caller: BARRED }),
    ],
    uas: [...isCalled([...PLAIN_AT_BOB, ...UNTOUCHED], PLAIN.bob), ...isHungUpOn()],
  },
  {
    name: 'bootstrap-barred-refused',
    shows:
      'The same where policy refuses such requests: 403 to the call, and the voice comes with an offer of voice alone.',
    conformance: [['R9', 'unauthorised: refuse; an offer with data channels is refused with 403, voice alone is not']],
    uac: [
      ...callsInVain({ caller: BARRED, body: ALICE }, 403),
      ...calls({ caller: BARRED, body: PLAIN.alice, cseq: 2 }, ...PLAIN_AT_ALICE),
      ...hangsUp(3, { caller: BARRED }),
    ],
    uas: [...isCalled([...PLAIN_AT_BOB, ...UNTOUCHED], PLAIN.bob), ...isHungUpOn()],
    run: { unauthorised: 'refuse' },
  },
  {
    name: 'bootstrap-ice',
    shows: 'An offer with ICE gets an ICE-lite answer with one host candidate; towards the callee there is no ICE.',
    conformance: [['R7', 'ICE-lite lines in an answer exactly when the offer had ICE']],
    uac: [
      ...calls(
        { body: sdp('alice', 1, audio('alice'), ownLine('alice', { more: ICE }), senderLine('alice')) },
        body('m=audio 42000 ', LINE.own, LINE.sender),
        body('a=ice-ufrag:[A-Za-z0-9+/]{4,}.*a=candidate:[^ ]+ 1 (UDP|udp) [0-9]+ [0-9.]+ [0-9]+ typ host'),
        ...mediaLines(3),
      ),
      ...hangsUp(2),
    ],
    uas: [...isCalled(E2, BOB), ...isHungUpOn()],
  },
  {
    name: 'bootstrap-new-association',
    shows:
      'A new tls-id on the own line begins a new association, repeating it begins none; the callee hears of neither.',
    conformance: [
      ['R12', 'a new tls-id means a new association; the other lines stay as they are'],
      ['R19', 'a re-INVITE that changes nothing is answered by the AS itself'],
    ],
    uac: [
      ...calls({ body: ALICE }, ...E4, ...remember('own', 0), ...remember('sender', 100)),
      ...offers(2, RENEWED, [
        ...E4,
        newAssociation('own', 0),
        ...sameAssociation('sender', 100),
        ...remember('renewed', 0),
      ]),
      ...offers(3, RENEWED, [...E4, ...sameAssociation('renewed', 0), ...sameAssociation('sender', 100)]),
      ...hangsUp(4),
    ],
    uas: [...bootstrapped.uas, ...isHungUpOn()],
  },
];
