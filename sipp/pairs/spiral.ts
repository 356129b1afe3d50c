import { answers, asked, invited, respond } from '../script/callee.ts';
import { body, LINE, LIVE, mediaLines, remember, sameAssociation, without } from '../script/check.ts';
import { applicationLine, audio, closed, ownLine, receiverLine, sdp } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import {
  alicePast,
  bobPast,
  calls,
  changes,
  E4,
  hangsUp,
  isHungUpOn,
  OFFER,
  SECOND,
  SECOND_AT_BOB,
  SEEN_AT_ALICE,
  SEEN_AT_BOB,
} from './flows.ts';

/** The callee's own line and that of the caller's network, as he answers them. */
const BOB = [audio('bob'), ownLine('bob', { streams: ['0 subprotocol="http"'] }), receiverLine('bob')];
const TO_TERMINATING = '<sip:[remote_ip]:[remote_port];transport=[transport];lr;term>';

export const SPIRAL: readonly Pair[] = [
  {
    name: 'spiral-application',
    shows:
      'Caller and callee are served by the same AS: an application past both MF contexts and one through both, then one goes.',
    conformance: [
      ['R22', 'application lines of a spiral are decided twice, by two independent sessions'],
      ['23.228 AC.7.2.1', 'P2P application channel on the terminating side'],
    ],
    uac: [
      ...calls({ byRoute: true, body: sdp('alice', 1, ...OFFER), routes: [TO_TERMINATING] }, ...E4),
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
      invited(body('m=audio 40000 ', LINE.own, LINE.receiver), ...mediaLines(3)),
      respond(180),
      respond(200, { body: sdp('bob', 1, ...BOB) }),
      asked('ACK'),
      asked(
        'INVITE',
        SEEN_AT_BOB,
        body(LINE.own, LINE.receiver, LIVE, LIVE, 'a=dcmap:1004 '),
        without('alicesecond'),
        ...remember('second', 1004),
        ...mediaLines(5),
      ),
      answers(200, { body: sdp('bob', 2, ...BOB, bobPast, applicationLine('bob', SECOND_AT_BOB)) }),
      asked('ACK'),
      asked(
        'INVITE',
        body(LINE.own, LINE.receiver, 'm=application 0 ', LIVE, 'a=dcmap:1004 '),
        ...sameAssociation('second', 1004),
        ...mediaLines(5),
      ),
      answers(200, { body: sdp('bob', 3, ...BOB, closed(), applicationLine('bob', SECOND_AT_BOB)) }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
];
