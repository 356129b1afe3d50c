import { DTLS_DC_AS } from '../dc-as.ts';
import { answers, request as ask, asked, invited, keep, respond } from '../script/callee.ts';
import { ack, ackFailure, expect, maybe, reinvite, reply } from '../script/caller.ts';
import { body, DEAD, LINE, LIVE, mediaLines, without } from '../script/check.ts';
import { APP, applicationLine, audio, closed, flipped, requestedApplication, sdp } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import {
  ANSWER,
  adds,
  alicePast,
  bobPast,
  bootstrapped,
  calls,
  changes,
  E2,
  hangsUp,
  isAdded,
  isCalled,
  isHungUpOn,
  LEGACY,
  OFFER,
  ONLY_OWN,
  registersWithoutTag,
  SECOND,
  SECOND_AT_BOB,
  SEEN_AT_ALICE,
  SEEN_AT_BOB,
} from './flows.ts';

const past = { app: APP.past } as const;
const datagramsWith = (change: { readonly tlsId?: string }) =>
  applicationLine('alice', { app: APP.datagrams, endpoint: 'Server', ...change });
const toDatagrams = datagramsWith({});
const NEW_ASSOCIATION = { tlsId: 'aliceapprenewed00001' } as const;
/** Everything but address and port is what the DC AS says of itself (core.ts). */
const DC_AS_ANSWERS = [
  body(LINE.sender, LIVE, 'a=dcmap:1000 ', requestedApplication(APP.datagrams, [1000], 'Server')),
  ...['setup:passive', `fingerprint:${DTLS_DC_AS.fingerprint}`, 'sctp-port:5009', 'max-message-size:30000'].map(
    (value) => body(LINE.sender, LIVE, `a=${value}`),
  ),
  ...mediaLines(4),
] as const;

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
    name: 'p2p-unknown-application',
    shows: 'A re-INVITE that adds only a channel of an unknown application is refused with 488; the call stands.',
    conformance: [['24.186 9.3.2.2.2', '488 when every data channel is refused and nothing else changed']],
    uac: [
      ...bootstrapped.uac,
      reinvite(2, sdp('alice', 2, ...OFFER, applicationLine('alice', { app: APP.unknown }))),
      ...maybe(100),
      expect(488),
      ackFailure(2, { inDialog: true }),
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
      reinvite(
        2,
        sdp('alice', 2, audio('alice', 'sendonly'), ...OFFER.slice(1), applicationLine('alice', { app: APP.unknown })),
      ),
      ...maybe(100),
      expect(200, body('m=audio 42000 ', 'a=recvonly', LINE.own, LINE.sender, DEAD), ...mediaLines(4)),
      ack(2),
      ...hangsUp(3),
    ],
    uas: [
      ...bootstrapped.uas,
      asked('INVITE', body('m=audio 40000 ', 'a=sendonly', LINE.sender, LINE.receiver), ...mediaLines(3)),
      answers(200, { body: sdp('bob', 2, audio('bob', 'recvonly'), ...ANSWER.slice(1)) }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
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
      reinvite(2, sdp('alice', 2, ...OFFER, applicationLine('alice', { app: APP.e2DCe }))),
      ...maybe(100),
      expect(488),
      ackFailure(2, { inDialog: true }),
      reinvite(3, sdp('alice', 3, audio('alice', 'sendonly'), ...OFFER.slice(1))),
      ...maybe(100),
      expect(200, body('m=audio 42000 ', 'a=recvonly', LINE.own, LINE.sender), ...mediaLines(3)),
      ack(3),
      ...hangsUp(4),
    ],
    uas: [
      ...bootstrapped.uas,
      asked('INVITE', body(LINE.receiver, LIVE, 'a=dcmap:1000 ')),
      answers(488),
      asked('ACK'),
      asked('INVITE', body('m=audio 40000 ', 'a=sendonly', LINE.sender, LINE.receiver), without('a=dcmap:1000 ')),
      answers(200, { body: sdp('bob', 2, audio('bob', 'recvonly'), ...ANSWER.slice(1)) }),
      asked('ACK'),
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
      expect('INVITE', body('m=audio 42000 ', LINE.own, LINE.receiver, 'm=application 42020 ', 'a=dcmap:1000 ')),
      reply(200, { body: sdp('alice', 2, ...OFFER.map(flipped), applicationLine('alice', past)) }),
      expect('ACK'),
      ...hangsUp(2),
    ],
    uas: [
      invited(...keep(), ...E2),
      respond(180),
      respond(200, { body: sdp('bob', 1, ...ANSWER) }),
      asked('ACK'),
      ask('INVITE', 1, {
        // Relative to the sender of this offer, who was the receiver before (R8).
        body: sdp('bob', 2, ...ANSWER.map(flipped), applicationLine('bob', { ...past, setup: 'actpass' })),
      }),
      ...maybe(100),
      expect(200, body('m=audio 40000 ', 'm=application 40020 ', 'a=setup:active', 'a=dcmap:1000 '), ...mediaLines(4)),
      ask('ACK', 1),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2a',
    shows: 'The application asks for its DC AS: the channel ends at our MF, the other UE hears nothing of it.',
    conformance: [['23.228 AC.7.2.2', 'P2A application channel: ends at the MF, which takes it to the DC AS']],
    uac: [
      ...bootstrapped.uac,
      ...changes(
        2,
        [applicationLine('alice', { app: APP.server, endpoint: 'Server' })],
        body(LINE.sender, LIVE, 'a=setup:passive', 'a=dcmap:1000 ', requestedApplication(APP.server, [1000], 'Server')),
        ...mediaLines(4),
      ),
      ...hangsUp(3),
    ],
    uas: [...bootstrapped.uas, ...isHungUpOn()],
  },
  {
    name: 'p2a-udp-proxy',
    shows:
      'DTLS ends at the DC AS: the answer has the address of our MF and the fingerprint, setup, SCTP port and size of the ' +
      'DC AS; a new tls-id is answered with another one of its own; the other UE hears nothing of it.',
    conformance: [
      ['23.228 AC.7.2.2', 'P2A with UDP_PROXY: the fingerprint of the DC AS in the answer'],
      ['R12', 'a line that ends at a DC AS: a new tls-id is answered with a new one'],
    ],
    uac: [
      ...bootstrapped.uac,
      ...changes(2, [toDatagrams], ...DC_AS_ANSWERS),
      ...changes(3, [datagramsWith(NEW_ASSOCIATION)], ...DC_AS_ANSWERS),
      ...hangsUp(4),
    ],
    uas: [...bootstrapped.uas, ...isHungUpOn()],
  },
  {
    name: 'p2a-dtls',
    shows: 'The MF ends DTLS of the UE and opens an association with the DC AS: the UE sees the MF alone.',
    conformance: [['23.228 AC.7.2.2', 'P2A over UDP/DTLS/SCTP: the MF answers with its own values']],
    uac: [
      ...bootstrapped.uac,
      ...changes(
        2,
        [applicationLine('alice', { app: APP.dtls, endpoint: 'Server' })],
        body(LINE.sender, LIVE, 'a=setup:passive', 'a=dcmap:1000 ', requestedApplication(APP.dtls, [1000], 'Server')),
        without('fingerprint:SHA-256 DA:DA'),
        ...mediaLines(4),
      ),
      ...hangsUp(3),
    ],
    uas: [...bootstrapped.uas, ...isHungUpOn()],
  },
  {
    name: 'p2a2p',
    shows: 'Two UEs over one DC AS: by policy the channel ends at our MF on both legs, two associations.',
    conformance: [['23.228 AC.7.2.3', 'P2A2P application channel: always anchored, one DC AS']],
    uac: [
      ...adds(
        [applicationLine('alice', { app: APP.between })],
        [body(LINE.sender, LIVE, 'a=setup:passive', 'a=dcmap:1000 '), without('bobapp'), ...mediaLines(4)],
      ),
      ...hangsUp(3),
    ],
    uas: [
      ...isAdded(
        [body(LINE.receiver, LIVE, 'a=dcmap:1000 '), without('aliceapp'), ...mediaLines(4)],
        [applicationLine('bob', { app: APP.between })],
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-becomes-p2a',
    shows: 'The callee has no data channels: by policy the DC AS stands in for it; the caller is told nothing else.',
    conformance: [['23.228 AC.7.9', 'P2P turned into P2A; the binding is echoed unchanged to the UE']],
    uac: [
      ...registersWithoutTag(),
      ...calls({ callee: LEGACY, body: sdp('alice', 1, ...OFFER) }, ...ONLY_OWN),
      reinvite(2, sdp('alice', 2, ...OFFER, applicationLine('alice', { app: APP.interworking })), { callee: LEGACY }),
      ...maybe(100),
      expect(
        200,
        body('m=audio 42000 ', LINE.own, LIVE, 'a=dcmap:1000 ', requestedApplication(APP.interworking, [1000])),
        ...mediaLines(4),
      ),
      ack(2, { callee: LEGACY }),
      ...hangsUp(3, { callee: LEGACY }),
    ],
    uas: [
      invited(body('m=audio 40000 '), ...mediaLines(1)),
      respond(180, { incapable: true }),
      respond(200, { body: sdp('bob', 1, audio('bob')), incapable: true }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-unbound',
    shows: 'An application stream that names no application: refused by policy, 488 as nothing else changed.',
    conformance: [['ue-side 9', 'an id from 1000 without a binding is refused by default']],
    uac: [
      ...bootstrapped.uac,
      reinvite(
        2,
        sdp('alice', 2, ...OFFER, applicationLine('alice', { app: '', streams: ['1000 label="draw"'], more: [] })),
      ),
      ...maybe(100),
      expect(488),
      ackFailure(2, { inDialog: true }),
      ...hangsUp(3),
    ],
    uas: [...bootstrapped.uas, ...isHungUpOn()],
  },
];
