import { body, DEAD, header, LINE, LIVE, mediaLines, without } from '../script/check.ts';
import {
  APP,
  applicationLine,
  audio,
  closed,
  ownLine,
  receiverLine,
  requestedApplication,
  sdp,
} from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import { calls, hangsUp, isCalled, isHungUpOn, isOffered, offers } from './flows.ts';

const TAG = '+g.3gpp.dc-mux';
const TO_PEER = '1000 label="local_10000001_1_draw"';
const TO_SERVER = '1010 label="local_10000020_0_menu"';
const PEER_BINDING = requestedApplication(APP.past, [1000]);
const SERVER_BINDING = requestedApplication(APP.server, [1010], 'Server');

/** Alice's one line: the own network's bootstrap channel, a channel to Bob, one to a DC AS; or some of these. */
function oneLine(...streams: readonly string[]): string {
  const more = [
    ...(streams.includes(TO_PEER) ? [PEER_BINDING] : []),
    ...(streams.includes(TO_SERVER) ? [SERVER_BINDING] : []),
  ];
  return ownLine('alice', { streams, more });
}

const HTTP = '0 subprotocol="http"';
const ALL = [audio('alice'), oneLine(HTTP, TO_PEER, TO_SERVER)];
const bobsChannel = applicationLine('bob', { app: APP.past, tlsId: 'bobsmultiplexedpart1' });
const BOB = [audio('bob'), bobsChannel, receiverLine('bob')];
/** The usual answer's streams, one after the other. */
const answered = (...ids: readonly number[]) => ids.map((id) => `a=dcmap:${id} `);

export const MULTIPLEX: readonly Pair[] = [
  {
    name: 'multiplexing',
    shows:
      'The handset announces g.3gpp.dc-mux and puts three far ends on one line: repository, peer, DC AS. The peer gets a line of its own; then that stream leaves, and comes again, and the others stay.',
    conformance: [
      [
        '23.228 Annex AC (multiplexing)',
        'streams of one association to different far ends; single streams come and go',
      ],
      ['26.114 6.2.10.1 (g.3gpp.dc-mux)', 'the tag is announced by the UE and by the network, hop by hop'],
    ],
    uac: [
      ...calls(
        { body: sdp('alice', 1, ...ALL), contact: `;${TAG}` },
        header('Contact', '.g.3gpp.dc-mux'),
        body('m=audio 42000 ', LIVE, ...answered(0, 1000, 1010), PEER_BINDING, SERVER_BINDING),
        without('a=tls-id:bobs'),
        ...mediaLines(2),
      ),
      ...offers(2, sdp('alice', 2, audio('alice'), oneLine(HTTP, TO_SERVER)), [
        body(LIVE, ...answered(0, 1010)),
        without('a=dcmap:1000 '),
        ...mediaLines(2),
      ]),
      ...offers(3, sdp('alice', 3, ...ALL), [body(LIVE, ...answered(0, 1000, 1010)), ...mediaLines(2)]),
      ...hangsUp(4),
    ],
    uas: [
      ...isCalled(
        [
          body('m=audio 40000 ', LIVE, 'a=dcmap:1000 ', PEER_BINDING, LINE.receiver),
          without('a=dcmap:(0|10|1010) '),
          without('a=tls-id:alicelocal'),
          ...mediaLines(3),
        ],
        sdp('bob', 1, ...BOB),
      ),
      ...isOffered(
        sdp('bob', 2, audio('bob'), closed(), receiverLine('bob')),
        body('m=audio 40000 ', DEAD, LINE.receiver),
        ...mediaLines(3),
      ),
      ...isOffered(
        sdp('bob', 3, ...BOB),
        body('m=audio 40000 ', LIVE, 'a=dcmap:1000 ', LINE.receiver),
        ...mediaLines(3),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'multiplexing-untagged',
    shows:
      'The same line from a handset that did not announce the tag: the bootstrap channel is served, the rest left out.',
    conformance: [['26.114 6.2.10.1 (g.3gpp.dc-mux)', 'without the tag one far end is served']],
    uac: [
      ...calls(
        { body: sdp('alice', 1, ...ALL) },
        body('m=audio 42000 ', LIVE, 'a=dcmap:0 '),
        without('a=dcmap:10[01]0 '),
        ...mediaLines(2),
      ),
      ...hangsUp(2),
    ],
    uas: [
      ...isCalled(
        [body('m=audio 40000 ', LINE.receiver), without('a=dcmap:(0|1000|1010) '), ...mediaLines(2)],
        sdp('bob', 1, audio('bob'), receiverLine('bob')),
      ),
      ...isHungUpOn(),
    ],
  },
];
