import { body, DEAD, keep, LINE, LIVE, mediaLines, remember, sameAssociation, without } from '../script/check.ts';
import { APP, applicationLine, audio, receiverLine, requestedApplication, sdp, senderLine } from '../script/sdp.ts';
import { type Check, execute, type Pair, type Step } from '../script/steps.ts';
import {
  bootstrapped,
  calleeTells,
  callerIsTold,
  calls,
  hangsUp,
  isCalled,
  isChanged,
  isHungUpOn,
  isOffered,
  offers,
  offersInVain,
  TO_TERMINATING,
} from './flows.ts';
import {
  ALICE,
  alicePast,
  bobPast,
  E4,
  HTTP_100,
  OFFER,
  PLAIN,
  PLAIN_AT_ALICE,
  PLAIN_AT_BOB,
  SEEN_AT_ALICE,
  SEEN_AT_BOB,
  SERVED_ANSWER,
} from './media.ts';

/** What the profile of the served user keeps from him (R9). Each has one of his own in the policy of the suite. */

const SUBSCRIBED = { caller: 'one-application@ims.example.com' } as const;
const LIMITED = { caller: 'two-channels@ims.example.com' } as const;
const NOT_CALLED = 'no-a2p@ims.example.com';
const CALLED = 'a2p-callee-[call_number]@ims.example.com';

type User = typeof SUBSCRIBED | typeof LIMITED;

const begins = (user: User): readonly Step[] => calls({ ...user, body: ALICE }, ...E4);

function changes(user: User, cseq: number, media: readonly string[], ...answer: readonly Check[]): readonly Step[] {
  const seen = [body('m=audio 42000 ', LINE.own, LINE.sender), ...answer];
  return offers(cseq, sdp('alice', cseq, ...OFFER, ...media), seen, user);
}

function isRefused(user: User, cseq: number, media: readonly string[]): readonly Step[] {
  return offersInVain(cseq, sdp('alice', cseq, ...OFFER, ...media), 488, user);
}

/** The bootstrap lines stay for the callee, whatever comes beside them. */
const KEPT = body('m=audio 40000 ', LINE.sender, LINE.receiver);

const NOT_SUBSCRIBED = applicationLine('alice', { app: APP.e2DCe, ids: [1004], port: 40_022 });
const channels = (party: 'alice' | 'bob', ...ids: readonly number[]) => applicationLine(party, { app: APP.e2DCe, ids });
const AT_ONCE = [1000, 1002, 1004];

const OF_CALLEE = { callee: 'one-application@ims.example.com' } as const;
const FAR = [audio('alice'), senderLine('alice', { streams: HTTP_100 }), receiverLine('alice')];

const USERS = { caller: NOT_CALLED, callee: CALLED } as const;
const MENU = requestedApplication(APP.server, [1001], 'Server');
const menuFor = (user: string) => `[dc4] ${APP.server} sip:${user} menu`;

export const SUBSCRIPTION: readonly Pair[] = [
  {
    name: 'subscription-applications',
    shows:
      'An application that the caller has not subscribed to: port 0 beside one that he has; 488 when nothing else changes.',
    conformance: [
      ['R9', 'application not in the subscription: left out onward, port 0 in the answer, the rest goes on'],
    ],
    uac: [
      ...begins(SUBSCRIBED),
      ...isRefused(SUBSCRIBED, 2, [NOT_SUBSCRIBED]),
      ...changes(
        SUBSCRIBED,
        3,
        [alicePast, NOT_SUBSCRIBED],
        SEEN_AT_ALICE,
        body(LINE.sender, LIVE, DEAD),
        ...mediaLines(5),
      ),
      ...hangsUp(4, SUBSCRIBED),
    ],
    uas: [
      ...bootstrapped.uas,
      ...isChanged(2, [bobPast], KEPT, SEEN_AT_BOB, without('10000005'), ...mediaLines(4)),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'subscription-applications-of-callee',
    shows: 'The far user opens an application that the served callee has not subscribed to: that is not asked of him.',
    conformance: [['23.228 AC.7.2.1', 'the subscription of the user who opens the channel counts, in his own network']],
    uac: [
      ...calls({ ...OF_CALLEE, serves: 'callee', body: sdp('alice', 1, ...FAR) }, body('m=audio 42000 ', LINE.sender)),
      ...offers(
        2,
        sdp('alice', 2, ...FAR, channels('alice', 1000)),
        [body('m=audio 42000 ', LINE.sender, LIVE, 'a=dcmap:1000 '), ...mediaLines(4)],
        OF_CALLEE,
      ),
      ...hangsUp(3, OF_CALLEE),
    ],
    uas: [
      ...isCalled([body('m=audio 40000 '), ...mediaLines(3)], sdp('bob', 1, ...SERVED_ANSWER)),
      ...isOffered(
        sdp('bob', 2, ...SERVED_ANSWER, channels('bob', 1000)),
        body('m=audio 40000 ', LIVE, 'a=dcmap:1000 '),
        ...mediaLines(4),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'subscription-channels',
    shows:
      'Two channels are the limit: a line of three is refused, of two served; a third one, on their line or on another, is refused, and they stay.',
    conformance: [['R9', 'more channels than the subscription has: the line is refused, live lines stay']],
    uac: [
      ...begins(LIMITED),
      ...isRefused(LIMITED, 2, [channels('alice', ...AT_ONCE)]),
      ...changes(
        LIMITED,
        3,
        [channels('alice', 1000, 1002)],
        body('a=dcmap:1000 ', 'a=dcmap:1002 ', requestedApplication(APP.e2DCe, [1000, 1002])),
        ...remember('line', 1000),
        ...mediaLines(4),
      ),
      ...isRefused(LIMITED, 4, [
        channels('alice', 1000, 1002),
        applicationLine('alice', { app: APP.past, port: 40_022, ids: [1006] }),
      ]),
      // Nothing of it is for the callee: the AS answers alone, with what was agreed before.
      ...changes(
        LIMITED,
        5,
        [channels('alice', ...AT_ONCE)],
        body('a=dcmap:1000 ', 'a=dcmap:1002 '),
        without('a=dcmap:1004 '),
        ...sameAssociation('line', 1000),
        ...mediaLines(4),
      ),
      ...hangsUp(6, LIMITED),
    ],
    uas: [
      ...bootstrapped.uas,
      ...isChanged(2, [channels('bob', 1000, 1002)], KEPT, body('a=dcmap:1000 ', 'a=dcmap:1002 '), ...mediaLines(4)),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'subscription-a2p',
    shows:
      'Both users are served here. A DC AS may not call the caller, whose profile forbids it, and then calls the callee.',
    conformance: [['23.228 AC.7.2.2', 'A2P only to users whose subscription allows it']],
    uac: [
      ...calls({ ...USERS, byRoute: true, body: PLAIN.alice, routes: [TO_TERMINATING] }, ...PLAIN_AT_ALICE),
      // The second one is only asked for once the first one has been refused.
      execute(`${menuFor(NOT_CALLED)} || ${menuFor(CALLED)}`),
      // An INVITE would end the script here: the callee says when it was called.
      ...callerIsTold(),
      ...hangsUp(2, USERS),
    ],
    uas: [
      ...isCalled([...PLAIN_AT_BOB, ...keep()], PLAIN.bob),
      ...isOffered(
        sdp('bob', 2, audio('bob'), applicationLine('bob', { app: APP.server, ids: [1001], endpoint: 'Server' })),
        body('m=audio 40000 ', LIVE, 'a=dcmap:1001 ', MENU),
        ...mediaLines(2),
      ),
      ...calleeTells(),
      ...isHungUpOn(),
    ],
  },
];
