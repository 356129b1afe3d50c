import { body, LINE, LIVE, mediaLines, without } from '../script/check.ts';
import { applicationLine, receiverLine, sdp, senderLine } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import { calls, callsInVain, hangsUp, isCalled, isHungUpOn } from './flows.ts';
import {
  ANSWER,
  alicePast,
  bobPast,
  HTTP_100,
  OFFER,
  SECOND,
  SECOND_AT_BOB,
  SEEN_AT_ALICE,
  SEEN_AT_BOB,
  SERVED_ANSWER,
} from './media.ts';

/** Sessions of data channels only. */

const STANDALONE = { caller: 'standalone@ims.example.com' } as const;
const BARRED = { caller: 'barred@ims.example.com' } as const;

const NO_VOICE = [without('m=audio'), ...mediaLines(2)] as const;
/** From a caller of the far network. */
const TO_BOB = {
  serves: 'callee',
  body: sdp('alice', 1, senderLine('alice', { streams: HTTP_100 }), receiverLine('alice')),
} as const;

export const STANDALONE_SESSIONS: readonly Pair[] = [
  {
    name: 'standalone',
    shows: 'A session of data channels only, of a user who may have one: bootstrap lines of both networks.',
    conformance: [['24.186 9.3.2.2.1', 'standalone data channel session']],
    uac: [
      ...calls({ ...STANDALONE, body: sdp('alice', 1, ...OFFER.slice(1)) }, body(LINE.own, LINE.sender), ...NO_VOICE),
      ...hangsUp(2, STANDALONE),
    ],
    uas: [
      ...isCalled([body(LINE.sender, LINE.receiver), ...NO_VOICE], sdp('bob', 1, ...ANSWER.slice(1))),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'standalone-application',
    shows: 'The same with an application in the first offer: bootstrap and application at once, without voice.',
    conformance: [['24.186 9.3.2.2.4', 'standalone session with bootstrap and application lines in one offer']],
    uac: [
      ...calls(
        { ...STANDALONE, body: sdp('alice', 1, ...OFFER.slice(1), alicePast, applicationLine('alice', SECOND)) },
        body(LINE.own, LINE.sender, LIVE, LIVE, 'a=dcmap:1004 '),
        SEEN_AT_ALICE,
        without('m=audio'),
        ...mediaLines(4),
      ),
      ...hangsUp(2, STANDALONE),
    ],
    uas: [
      ...isCalled(
        [
          body(LINE.sender, LIVE, LIVE, 'a=dcmap:1004 ', LINE.receiver),
          SEEN_AT_BOB,
          without('m=audio'),
          ...mediaLines(4),
        ],
        sdp('bob', 1, ANSWER[1]!, bobPast, applicationLine('bob', SECOND_AT_BOB), ANSWER[2]!),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'standalone-terminating',
    shows: 'The far network calls a served user who may have such sessions: his own line is added, without voice.',
    conformance: [['24.186 9.3.3.2.1', 'terminating standalone session']],
    uac: [
      ...calls({ ...TO_BOB, callee: STANDALONE.caller }, body(LINE.sender, LINE.receiver), ...NO_VOICE),
      ...hangsUp(2, { callee: STANDALONE.caller }),
    ],
    uas: [
      ...isCalled(
        [body(LINE.own), body(LINE.receiver), without('a=3gpp-bdc-used-by:sender'), ...NO_VOICE],
        sdp('bob', 1, ...SERVED_ANSWER.slice(1)),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'standalone-terminating-refused',
    shows: 'The same for a served user without that subscription: 403 to the far network, he hears nothing.',
    conformance: [['24.186 9.3.3.2.1', 'terminating standalone session without authorisation: 403']],
    uac: callsInVain(TO_BOB, 403),
  },
  {
    name: 'standalone-refused',
    shows: 'The same of a user without that subscription: 403, nothing goes on.',
    conformance: [['24.186 9.3.2.2.1', 'standalone session without authorisation: 403']],
    uac: callsInVain({ body: sdp('alice', 1, ...OFFER.slice(1)) }, 403),
  },
  {
    name: 'standalone-barred',
    shows:
      'A standalone session of a user who may have no data channels at all, where policy refuses such requests: 403, nothing goes on.',
    conformance: [['R9', 'unauthorised: refuse; a standalone session of a user without authorisation: 403']],
    uac: callsInVain({ ...BARRED, body: sdp('alice', 1, ...OFFER.slice(1)) }, 403),
    run: { unauthorised: 'refuse' },
  },
];
