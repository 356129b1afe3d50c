import { answers, asked } from '../script/callee.ts';
import { body, DEAD, LINE, LIVE, mediaLines, without } from '../script/check.ts';
import { APP, applicationLine, audio, closed, sdp } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import { adds, bootstrapped, hangsUp, isAdded, isHungUpOn, isOffered, offers, offersInVain } from './flows.ts';
import { alicePast, HOLD, OFFER, SEEN_AT_BOB } from './media.ts';

/** Application channels that are refused: by policy, or by the peer. */

export const REFUSAL: readonly Pair[] = [
  {
    name: 'p2p-unknown-application',
    shows: 'A re-INVITE that adds only a channel of an unknown application is refused with 488; the call stands.',
    conformance: [['24.186 9.3.2.2.2', '488 when every data channel is refused and nothing else changed']],
    uac: [
      ...bootstrapped.uac,
      ...offersInVain(2, sdp('alice', 2, ...OFFER, applicationLine('alice', { app: APP.unknown })), 488),
      ...hangsUp(3),
    ],
    uas: [...bootstrapped.uas, ...isHungUpOn()],
  },
  {
    name: 'p2p-unknown-with-hold',
    shows: 'The same together with a hold: the hold passes, the line alone is refused with port 0.',
    conformance: [['R17', 'a refused line beside another change: port 0 for the line, the change goes on']],
    uac: [
      ...bootstrapped.uac,
      ...offers(
        2,
        sdp('alice', 2, audio('alice', 'sendonly'), ...OFFER.slice(1), applicationLine('alice', { app: APP.unknown })),
        [body('m=audio 42000 ', 'a=recvonly', LINE.own, LINE.sender, DEAD), ...mediaLines(4)],
      ),
      ...hangsUp(3),
    ],
    uas: [...bootstrapped.uas, ...isOffered(HOLD.answer(2), HOLD.atBob, ...mediaLines(3)), ...isHungUpOn()],
  },
  {
    name: 'p2p-refused-by-peer',
    shows: 'The peer refuses the application with port 0; the bootstrap channels stay.',
    conformance: [['26.114 6.2.10.3', 'an association refused by the answerer with port 0']],
    uac: [...adds([alicePast], [body(LINE.sender, DEAD), ...mediaLines(4)]), ...hangsUp(3)],
    uas: [...isAdded([SEEN_AT_BOB, ...mediaLines(4)], [closed()]), ...isHungUpOn()],
  },
  {
    name: 'p2p-488-by-peer',
    shows: 'The peer refuses the whole re-INVITE with 488: it goes back, everything is as before, and a hold works.',
    conformance: [['RFC 3264 8', 'a refused offer leaves what was agreed before, at the MF too']],
    uac: [
      ...bootstrapped.uac,
      ...offersInVain(2, sdp('alice', 2, ...OFFER, applicationLine('alice', { app: APP.e2DCe })), 488),
      ...offers(3, HOLD.offer(3), HOLD.atAlice),
      ...hangsUp(4),
    ],
    uas: [
      ...bootstrapped.uas,
      asked('INVITE', body(LINE.receiver, LIVE, 'a=dcmap:1000 ')),
      answers(488),
      asked('ACK'),
      ...isOffered(HOLD.answer(2), HOLD.atBob, without('a=dcmap:1000 ')),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-changed-reliability',
    shows: 'The answer changes the reliability of the channel: the channel is refused, the call goes on.',
    conformance: [['ue-side 9', 'a dcmap whose reliability the answer changed is a failed channel']],
    uac: [
      ...adds(
        [applicationLine('alice', { app: APP.e2DCe })],
        [body(LINE.sender, DEAD), without('a=dcmap:1000 '), ...mediaLines(4)],
      ),
      ...hangsUp(3),
    ],
    uas: [
      ...isAdded(
        [body(LINE.receiver, LIVE, 'a=dcmap:1000 ')],
        [applicationLine('bob', { app: APP.e2DCe, reliability: ';max-retr=3' })],
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-unbound',
    shows: 'An application stream that names no application: refused by policy, 488 as nothing else changed.',
    conformance: [['ue-side 9', 'an id from 1000 without a binding is refused by default']],
    uac: [
      ...bootstrapped.uac,
      ...offersInVain(
        2,
        sdp('alice', 2, ...OFFER, applicationLine('alice', { app: '', streams: ['1000 label="draw"'], more: [] })),
        488,
      ),
      ...hangsUp(3),
    ],
    uas: [...bootstrapped.uas, ...isHungUpOn()],
  },
];
