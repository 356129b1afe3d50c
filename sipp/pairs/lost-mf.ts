import { PORT_AT } from '../mf-ports.ts';
import { body, DEAD, header, keep, LINE, LIVE, mediaLines, tlsIds, without } from '../script/check.ts';
import {
  APP,
  applicationLine,
  audio,
  closed,
  flipped,
  ownLine,
  receiverLine,
  requestedApplication,
  sdp,
  senderLine,
} from '../script/sdp.ts';
import type { Check, LostMf, Pair, PairRun } from '../script/steps.ts';
import {
  calleeTells,
  callerIsOffered,
  callerIsTold,
  calls,
  hangsUp,
  isCalled,
  isHungUpOn,
  isOffered,
  offers,
} from './flows.ts';
import { ALICE, BOB, E2, E4, HTTP_0, HTTP_100 } from './media.ts';

/** An MF with calls ends by kill -9 in the middle of them, or falls silent. Which MF a line is at, its port says. */

/** m-lines like this, at that MF. */
function at(mf: keyof typeof PORT_AT, ...lines: readonly string[]): Check {
  return body(...lines.map((line) => line.replace('[1-9][0-9]* ', `${PORT_AT[mf]} `)));
}

function when(mf: LostMf): { readonly run: PairRun } {
  return { run: { accident: { kind: 'mfLost', mf }, retransmissions: 'any' } };
}

/** The callee, of whose dialog the AS thinks last, says when it has heard everything, so that the caller may hang up. */
const heard = [...calleeTells(), ...isHungUpOn()] as const;

/** Before and after: Alice hears from our MF in 200, then in re-INVITE, Bob in both INVITEs. */
const KNOWN = tlsIds('known', 2);
const RENEWED = tlsIds('renewed', 2, KNOWN);
const ALICES = [LINE.own, LINE.receiver] as const;
const BOBS = [LINE.sender, LINE.receiver] as const;
const alice = (version: number, association: string) => {
  const [own, sender] = [`alicelocal00000000${association}`, `alicesender0000000${association}`];
  return sdp(
    'alice',
    version,
    audio('alice'),
    ownLine('alice', { tlsId: own, streams: HTTP_0 }),
    flipped(senderLine('alice', { tlsId: sender, streams: HTTP_100 })),
  );
};
const bob = (version: number, association: string) =>
  sdp(
    'bob',
    version,
    audio('bob'),
    senderLine('bob', { tlsId: `bobsender000000000${association}` }),
    receiverLine('bob', { tlsId: `bobreceiver0000000${association}` }),
  );
const aliceWithout = (version: number) => sdp('alice', version, audio('alice'), closed(), closed());
const bobWithout = (version: number) => sdp('bob', version, audio('bob'), closed(), closed());

const isUp = [...calls({ body: ALICE }, ...E4, at('first', LINE.own, LINE.sender), KNOWN)] as const;
const isUpToo = isCalled([...keep(), ...E2, at('first', ...BOBS), KNOWN], BOB);
const GONE_AT_ALICE = [body('m=audio 42000 ', DEAD, DEAD), ...mediaLines(3)] as const;
const GONE_AT_BOB = [body('m=audio 40000 ', DEAD, DEAD), ...mediaLines(3)] as const;
const RENEWED_AT_ALICE = [
  body('m=audio 42000 ', ...ALICES),
  at('spare', ...ALICES),
  body('a=setup:actpass.*a=dcmap:0 .*a=setup:actpass.*a=dcmap:100 '),
  RENEWED,
  ...mediaLines(3),
] as const;
const RENEWED_AT_BOB = [body('m=audio 40000 ', ...BOBS), at('spare', ...BOBS), RENEWED, ...mediaLines(3)] as const;

const TAG = '+g.3gpp.dc-mux';
const CHANNELS = [
  '0 subprotocol="http"',
  '1000 label="local_10000001_1_draw"',
  '1010 label="local_10000020_0_menu"',
] as const;
const BINDINGS = [requestedApplication(APP.past, [1000]), requestedApplication(APP.server, [1010], 'Server')];
const oneLine = (tlsId: string) => ownLine('alice', { tlsId, streams: CHANNELS, more: BINDINGS });
const THREE_FAR_ENDS = `${LIVE}.*a=dcmap:0 .*a=dcmap:1000 .*a=dcmap:1010 `;
const peerLine = (tlsId: string) => applicationLine('bob', { app: APP.past, tlsId });
const MULTIPLEXED = tlsIds('known', 1);
const MULTIPLEXED_AGAIN = tlsIds('renewed', 1, MULTIPLEXED);
const TO_PEER = [`${LIVE}.*a=dcmap:1000 `, LINE.receiver] as const;

const datagrams = (party: 'alice' | 'bob') =>
  applicationLine(party, { app: APP.e2e, setup: party === 'alice' ? 'actpass' : 'passive' });
/** The far handset's own values, at an address of our MF. */
const PAST_DTLS = {
  alice: `${LIVE}.*a=setup:passive.*a=tls-id:bobapp0000000000000.*a=dcmap:1000 `,
  /** In an offer of ours it says that either may begin; nobody does, with the tls-id that it has. */
  aliceAgain: `${LIVE}.*a=tls-id:bobapp0000000000000.*a=dcmap:1000 `,
  bob: `${LIVE}.*a=tls-id:aliceapp00000000000.*a=dcmap:1000 `,
} as const;

/** Each side hears of new ends of the same lines in one re-INVITE. */
const MOVED: Pick<Pair, 'uac' | 'uas'> = {
  uac: [...isUp, ...callerIsOffered(alice(2, '02'), ...RENEWED_AT_ALICE), ...callerIsTold(), ...hangsUp(2)],
  uas: [...isUpToo, ...isOffered(bob(2, '02'), ...RENEWED_AT_BOB), ...heard],
};

export const LOST_MF: readonly Pair[] = [
  {
    name: 'mf-lost',
    shows:
      'The MF is killed in mid-call, another one is there: each side hears of new ends of the same lines in one re-INVITE.',
    conformance: [
      ['R25', 'lines of an MF that was killed are made anew at another one, by one re-INVITE to each side'],
      ['R12', 'the re-INVITE after the loss of an MF has a new tls-id in each line, and the answer too'],
    ],
    ...MOVED,
    ...when({ spare: true }),
  },
  {
    name: 'mf-lost-silent',
    shows: 'The MF answers no question any more, without a word: given up after patienceMs, with the same re-INVITEs.',
    conformance: [['R25', 'an MF that is unreachable, and not dead, is lost when it leaves our questions unanswered']],
    ...MOVED,
    ...when({ spare: true, silent: true }),
  },
  {
    name: 'mf-lost-new-line',
    shows:
      'The same for handsets that begin no second association in a line (repair.offer: newLine): port 0, then the line anew.',
    conformance: [['R25', 'with newLine each side hears of port 0 first, and then of the line as a new one']],
    uac: [
      ...isUp,
      ...callerIsOffered(aliceWithout(2), ...GONE_AT_ALICE),
      ...callerIsOffered(alice(3, '02'), ...RENEWED_AT_ALICE),
      ...callerIsTold(),
      ...hangsUp(2),
    ],
    uas: [
      ...isUpToo,
      ...isOffered(bobWithout(2), ...GONE_AT_BOB),
      ...isOffered(bob(3, '02'), ...RENEWED_AT_BOB),
      ...heard,
    ],
    ...when({ spare: true, offer: 'newLine' }),
  },
  {
    name: 'mf-lost-none-left',
    shows:
      'The only MF is killed in mid-call: the data channel lines go to port 0 on both sides, and voice goes on: it is held.',
    conformance: [['R25', 'with no MF left the lines go to port 0, and the voice goes on']],
    uac: [
      ...isUp,
      ...callerIsOffered(aliceWithout(2), ...GONE_AT_ALICE),
      ...callerIsTold(),
      ...offers(2, sdp('alice', 3, audio('alice', 'sendonly'), closed(), closed()), [
        body('m=audio 42000 ', 'a=recvonly', DEAD, DEAD),
        ...mediaLines(3),
      ]),
      ...hangsUp(3),
    ],
    uas: [
      ...isUpToo,
      ...isOffered(bobWithout(2), ...GONE_AT_BOB),
      ...calleeTells(),
      ...isOffered(
        sdp('bob', 3, audio('bob', 'recvonly'), closed(), closed()),
        body('m=audio 40000 ', 'a=sendonly', DEAD, DEAD),
        ...mediaLines(3),
      ),
      ...isHungUpOn(),
    ],
    ...when({ spare: false }),
  },
  {
    name: 'mf-lost-e2e',
    shows:
      'An application line whose datagrams go through the MF (e2e): its address changes and nothing else, DTLS goes on.',
    conformance: [['R10', 'after the loss of an MF e2e lines take another way: only address and port change']],
    uac: [
      ...calls(
        { body: sdp('alice', 1, audio('alice'), datagrams('alice')) },
        at('first', PAST_DTLS.alice),
        ...mediaLines(2),
      ),
      ...callerIsOffered(
        sdp('alice', 2, audio('alice'), datagrams('alice').replace('actpass', 'active')),
        body('m=audio 42000 ', PAST_DTLS.aliceAgain, requestedApplication(APP.e2e, [1000])),
        at('spare', PAST_DTLS.aliceAgain),
        ...mediaLines(2),
      ),
      ...callerIsTold(),
      ...hangsUp(2),
    ],
    uas: [
      ...isCalled(
        [...keep(), at('first', PAST_DTLS.bob), ...mediaLines(2)],
        sdp('bob', 1, audio('bob'), datagrams('bob')),
      ),
      ...isOffered(
        sdp('bob', 2, audio('bob'), datagrams('bob')),
        body('m=audio 40000 ', PAST_DTLS.bob, requestedApplication(APP.e2e, [1000])),
        at('spare', PAST_DTLS.bob),
        ...mediaLines(2),
      ),
      ...heard,
    ],
    ...when({ spare: true }),
  },
  {
    name: 'mf-lost-multiplexing',
    shows:
      'A line with three far ends (g.3gpp.dc-mux) is at the MF that is killed: one new association has them all again.',
    conformance: [['R25', 'a multiplexed association of a lost MF is made anew as one, with all its far ends']],
    uac: [
      ...calls(
        { body: sdp('alice', 1, audio('alice'), oneLine('alicemultiplexed0001')), contact: `;${TAG}` },
        header('Contact', '.g.3gpp.dc-mux'),
        at('first', THREE_FAR_ENDS),
        MULTIPLEXED,
        ...mediaLines(2),
      ),
      ...callerIsOffered(
        sdp('alice', 2, audio('alice'), oneLine('alicemultiplexed0002')),
        body('m=audio 42000 ', THREE_FAR_ENDS, ...BINDINGS),
        at('spare', THREE_FAR_ENDS),
        MULTIPLEXED_AGAIN,
        ...mediaLines(2),
      ),
      ...callerIsTold(),
      ...hangsUp(2),
    ],
    uas: [
      ...isCalled(
        [...keep(), at('first', ...TO_PEER), without('a=dcmap:(0|1010) '), KNOWN, ...mediaLines(3)],
        sdp('bob', 1, audio('bob'), peerLine('bobsmultiplexedpart1'), receiverLine('bob')),
      ),
      ...isOffered(
        sdp(
          'bob',
          2,
          audio('bob'),
          peerLine('bobsmultiplexedpart2'),
          receiverLine('bob', { tlsId: 'bobreceiver000000002' }),
        ),
        body('m=audio 40000 ', ...TO_PEER),
        at('spare', ...TO_PEER),
        without('a=dcmap:(0|1010) '),
        RENEWED,
        ...mediaLines(3),
      ),
      ...heard,
    ],
    ...when({ spare: true }),
  },
];
