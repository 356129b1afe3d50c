import { body, LINE, LIVE, mediaLines, remember, sameAssociation, without } from '../script/check.ts';
import { applicationLine, closed, sdp } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import { calls, changes, hangsUp, isCalled, isHungUpOn, isOffered, TO_TERMINATING } from './flows.ts';
import {
  ALICE,
  alicePast,
  bobPast,
  E4,
  SECOND,
  SECOND_AT_BOB,
  SEEN_AT_ALICE,
  SEEN_AT_BOB,
  SERVED_ANSWER,
  UNTOUCHED,
} from './media.ts';

const spiral = { byRoute: true, body: ALICE, routes: [TO_TERMINATING] } as const;

/** Caller and callee are served by the same AS: an originating session, and a terminating one behind it (R22). */
export const SPIRAL: readonly Pair[] = [
  {
    name: 'bootstrap-spiral',
    shows:
      'Caller and callee are served by the same AS: originating, then terminating session, each with its own MF ends.',
    conformance: [
      ['R22', 'a spiral is two independent sessions'],
      ['24.186 9.3.3.2.1', 'terminating bootstrap behind our own originating AS'],
    ],
    uac: [...calls(spiral, ...E4), ...hangsUp(2)],
    uas: [
      ...isCalled(
        [
          body('m=audio 40000 ', LINE.own, LINE.receiver),
          without('a=3gpp-bdc-used-by:sender'),
          ...mediaLines(3),
          ...UNTOUCHED,
        ],
        sdp('bob', 1, ...SERVED_ANSWER),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'spiral-application',
    shows:
      'Caller and callee are served by the same AS: an application past both MF contexts and one through both, then one goes.',
    conformance: [
      ['R22', 'application lines of a spiral are decided twice, by two independent sessions'],
      ['23.228 AC.7.2.1', 'P2P application channel on the terminating side'],
    ],
    uac: [
      ...calls(spiral, ...E4),
      ...changes(
        2,
        [alicePast, applicationLine('alice', SECOND)],
        SEEN_AT_ALICE,
        body(LINE.own, LINE.sender, LIVE, LIVE, 'a=dcmap:1004 '),
        without('bobsecond'),
        ...remember('second', 1004),
        ...mediaLines(5),
      ),
      ...changes(
        3,
        [closed(), applicationLine('alice', SECOND)],
        body(LINE.own, LINE.sender, 'm=application 0 ', LIVE, 'a=dcmap:1004 '),
        ...sameAssociation('second', 1004),
        ...mediaLines(5),
      ),
      ...hangsUp(4),
    ],
    uas: [
      ...isCalled([body('m=audio 40000 ', LINE.own, LINE.receiver), ...mediaLines(3)], sdp('bob', 1, ...SERVED_ANSWER)),
      ...isOffered(
        sdp('bob', 2, ...SERVED_ANSWER, bobPast, applicationLine('bob', SECOND_AT_BOB)),
        SEEN_AT_BOB,
        body(LINE.own, LINE.receiver, LIVE, LIVE, 'a=dcmap:1004 '),
        without('alicesecond'),
        ...remember('second', 1004),
        ...mediaLines(5),
      ),
      ...isOffered(
        sdp('bob', 3, ...SERVED_ANSWER, closed(), applicationLine('bob', SECOND_AT_BOB)),
        body(LINE.own, LINE.receiver, 'm=application 0 ', LIVE, 'a=dcmap:1004 '),
        ...sameAssociation('second', 1004),
        ...mediaLines(5),
      ),
      ...isHungUpOn(),
    ],
  },
];
