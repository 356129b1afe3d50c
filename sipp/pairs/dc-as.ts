import { DTLS_DC_AS } from '../dc-as.ts';
import { body, LINE, LIVE, mediaLines, without } from '../script/check.ts';
import { APP, applicationLine, requestedApplication, sdp } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import {
  adds,
  bootstrapped,
  calls,
  changes,
  hangsUp,
  isAdded,
  isCalled,
  isHungUpOn,
  LEGACY,
  offers,
  registersWithoutTag,
} from './flows.ts';
import { ALICE, OFFER, ONLY_OWN, PLAIN, PLAIN_AT_BOB } from './media.ts';

/** Application channels that end at a DC AS: P2A, P2A2P, and P2P turned into P2A. From a DC AS: network.ts. */

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

export const TO_DC_AS: readonly Pair[] = [
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
      ...calls({ callee: LEGACY, body: ALICE }, ...ONLY_OWN),
      ...offers(
        2,
        sdp('alice', 2, ...OFFER, applicationLine('alice', { app: APP.interworking })),
        [
          body('m=audio 42000 ', LINE.own, LIVE, 'a=dcmap:1000 ', requestedApplication(APP.interworking, [1000])),
          ...mediaLines(4),
        ],
        { callee: LEGACY },
      ),
      ...hangsUp(3, { callee: LEGACY }),
    ],
    uas: [...isCalled(PLAIN_AT_BOB, PLAIN.bob, { incapable: true }), ...isHungUpOn()],
  },
];
