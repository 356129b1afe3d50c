import { body, keep, LINE, LIVE, mediaLines, without } from '../script/check.ts';
import { APP, applicationLine, audio, flipped, requestedApplication, sdp } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import {
  adds,
  bootstrapped,
  calleeOffers,
  callerIsOffered,
  calls,
  hangsUp,
  isAdded,
  isCalled,
  isHungUpOn,
} from './flows.ts';
import {
  ANSWER,
  alicePast,
  BOB,
  bobPast,
  E2,
  OFFER,
  SECOND,
  SECOND_AT_BOB,
  SEEN_AT_ALICE,
  SEEN_AT_BOB,
} from './media.ts';

/** Application channels to the other UE: how they come about. Refused ones: refusal.ts; live ones: channels.ts. */

const past = { app: APP.past } as const;

export const APPLICATION: readonly Pair[] = [
  {
    name: 'p2p-reinvite',
    shows: 'An application channel to the peer by re-INVITE, past the MF: the line and its binding pass as they are.',
    conformance: [
      ['23.228 AC.7.2.1', 'P2P application channel, not anchored'],
      ['26.114 6.2.10.3', 'a=3gpp-req-app is repeated unchanged'],
      ['26.114 6.2.7.4', 'a=3gpp-qos-hint passes and is answered'],
    ],
    uac: [
      ...adds(
        [applicationLine('alice', { ...past, setup: 'actpass', qos: 'loss=0.01;latency=100' })],
        [SEEN_AT_ALICE, body('a=3gpp-qos-hint:latency=100'), ...mediaLines(4)],
      ),
      ...hangsUp(3),
    ],
    uas: [
      ...isAdded(
        [SEEN_AT_BOB, body('a=3gpp-qos-hint:loss=0.01;latency=100'), ...mediaLines(4)],
        [applicationLine('bob', { ...past, setup: 'passive', qos: 'latency=100' })],
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-e2dce',
    shows: 'The policy anchors the application: DTLS ends at our MF on both legs (e2DCe), the binding is echoed.',
    conformance: [
      ['R3', 'e2DCe: one media id in two terminations, each with an end of the MF'],
      ['23.228 AC.7.2.1', 'P2P application channel, anchored'],
    ],
    uac: [
      ...adds(
        [applicationLine('alice', { app: APP.e2DCe })],
        [
          body(LINE.sender, LIVE, 'a=setup:passive', 'a=dcmap:1000 ', requestedApplication(APP.e2DCe, [1000])),
          without('bobapp'),
          ...mediaLines(4),
        ],
      ),
      ...hangsUp(3),
    ],
    uas: [
      ...isAdded(
        [
          body(LINE.receiver, LIVE, 'a=dcmap:1000 ', requestedApplication(APP.e2DCe, [1000])),
          without('aliceapp'),
          ...mediaLines(4),
        ],
        [applicationLine('bob', { app: APP.e2DCe })],
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-e2e',
    shows: 'The policy anchors the application as datagrams (e2e): only address and port change, DTLS is end to end.',
    conformance: [['R10', 'e2e anchored: setup, fingerprint, tls-id and sctp-port travel untouched']],
    uac: [
      ...adds(
        [applicationLine('alice', { app: APP.e2e, setup: 'actpass' })],
        [
          body(LINE.sender, LIVE, 'a=setup:passive', 'a=tls-id:bobapp0000000000000', 'a=dcmap:1000 '),
          without('m=application 42020 '),
          ...mediaLines(4),
        ],
      ),
      ...hangsUp(3),
    ],
    uas: [
      ...isAdded(
        [
          body(LINE.receiver, LIVE, 'a=setup:actpass', 'a=tls-id:aliceapp00000000000', 'a=dcmap:1000 '),
          without('m=application 40020 '),
          ...mediaLines(4),
        ],
        [applicationLine('bob', { app: APP.e2e, setup: 'passive' })],
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-two-channels',
    shows: 'Two channels of one application on one line.',
    conformance: [['26.114 6.2.10.1', 'several channels on one m-line']],
    uac: [
      ...adds(
        [applicationLine('alice', { app: APP.e2DCe, ids: [1000, 1002] })],
        [body('a=dcmap:1000 ', 'a=dcmap:1002 ', requestedApplication(APP.e2DCe, [1000, 1002])), ...mediaLines(4)],
      ),
      ...hangsUp(3),
    ],
    uas: [
      ...isAdded(
        [body('a=dcmap:1000 ', 'a=dcmap:1002 ', requestedApplication(APP.e2DCe, [1000, 1002])), ...mediaLines(4)],
        [applicationLine('bob', { app: APP.e2DCe, ids: [1000, 1002] })],
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-two-applications',
    shows: 'Two applications at once, a line each: one past the MF, one through it.',
    conformance: [['24.186 9.3.2.2.2', 'several application lines in one offer, each by its own policy']],
    uac: [
      ...adds(
        [alicePast, applicationLine('alice', SECOND)],
        [SEEN_AT_ALICE, body('m=application 42020 ', LIVE, 'a=setup:passive', 'a=dcmap:1004 '), ...mediaLines(5)],
      ),
      ...hangsUp(3),
    ],
    uas: [
      ...isAdded(
        [SEEN_AT_BOB, body('m=application 40020 ', LIVE, 'a=dcmap:1004 '), without('alicesecond'), ...mediaLines(5)],
        [bobPast, applicationLine('bob', SECOND_AT_BOB)],
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-label-binding',
    shows: 'The application is named by label only, as deployed handsets do; nothing is added to the line.',
    conformance: [['ue-side 2.4', 'binding by label, echoed unchanged']],
    uac: [
      ...adds(
        [applicationLine('alice', { ...past, setup: 'actpass', byLabel: true })],
        [body('m=application 42020 ', 'a=dcmap:1000 label=.local_10000001_1_draw1000.'), without('3gpp-req-app')],
      ),
      ...hangsUp(3),
    ],
    uas: [
      ...isAdded(
        [body('m=application 40020 ', 'a=dcmap:1000 label=.local_10000001_1_draw1000.'), without('3gpp-req-app')],
        [applicationLine('bob', { ...past, setup: 'passive', byLabel: true })],
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-in-invite',
    shows: 'Bootstrap and application in one initial offer: the caller had the application already.',
    conformance: [['24.186 9.3.2.2.1', 'bootstrap and application lines in the initial INVITE']],
    uac: [
      ...calls(
        { body: sdp('alice', 1, ...OFFER, alicePast) },
        body('m=audio 42000 ', LINE.own, LINE.sender),
        SEEN_AT_ALICE,
        ...mediaLines(4),
      ),
      ...hangsUp(2),
    ],
    uas: [
      ...isCalled(
        [body('m=audio 40000 ', LINE.sender), SEEN_AT_BOB, body(LINE.receiver), ...mediaLines(4)],
        sdp('bob', 1, audio('bob'), ANSWER[1]!, bobPast, ANSWER[2]!),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-from-callee',
    shows: 'The callee starts the application: its line goes to the served caller past the MF.',
    conformance: [['23.228 AC.7.2.1', 'P2P application channel offered by the other side']],
    uac: [
      ...bootstrapped.uac,
      ...callerIsOffered(
        sdp('alice', 2, ...OFFER.map(flipped), applicationLine('alice', past)),
        body('m=audio 42000 ', LINE.own, LINE.receiver, 'm=application 42020 ', 'a=dcmap:1000 '),
      ),
      ...hangsUp(2),
    ],
    uas: [
      ...isCalled([...keep(), ...E2], BOB),
      ...calleeOffers(
        1,
        // Relative to the sender of this offer, who was the receiver before (R8).
        sdp('bob', 2, ...ANSWER.map(flipped), applicationLine('bob', { ...past, setup: 'actpass' })),
        body('m=audio 40000 ', 'm=application 40020 ', 'a=setup:active', 'a=dcmap:1000 '),
        ...mediaLines(4),
      ),
      ...isHungUpOn(),
    ],
  },
];
