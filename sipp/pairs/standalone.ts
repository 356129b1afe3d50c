import { body, LINE, LIVE, mediaLines, without } from '../script/check.ts';
import { applicationLine, sdp } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import { calls, callsInVain, hangsUp, isCalled, isHungUpOn } from './flows.ts';
import { ANSWER, alicePast, bobPast, OFFER, SECOND, SECOND_AT_BOB, SEEN_AT_ALICE, SEEN_AT_BOB } from './media.ts';

/** Sessions of data channels only. */

const STANDALONE = { caller: 'standalone@ims.example.com' } as const;
const BARRED = { caller: 'barred@ims.example.com' } as const;

export const STANDALONE_SESSIONS: readonly Pair[] = [
  {
    name: 'standalone',
    shows: 'A session of data channels only, of a user who may have one: bootstrap lines of both networks.',
    conformance: [['24.186 9.3.2.2.1', 'standalone data channel session']],
    uac: [
      ...calls(
        { ...STANDALONE, body: sdp('alice', 1, ...OFFER.slice(1)) },
        body(LINE.own, LINE.sender),
        without('m=audio'),
        ...mediaLines(2),
      ),
      ...hangsUp(2, STANDALONE),
    ],
    uas: [
      ...isCalled(
        [body(LINE.sender, LINE.receiver), without('m=audio'), ...mediaLines(2)],
        sdp('bob', 1, ...ANSWER.slice(1)),
      ),
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
