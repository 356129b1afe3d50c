import {
  body,
  DEAD,
  LINE,
  LIVE,
  mediaLines,
  newAssociation,
  remember,
  sameAssociation,
  without,
} from '../script/check.ts';
import {
  APP,
  type ApplicationLine,
  applicationLine,
  closed,
  type Party,
  requestedApplication,
  sdp,
} from '../script/sdp.ts';
import type { Check, Pair } from '../script/steps.ts';
import { adds, changes, hangsUp, isAdded, isChanged, isHungUpOn, offers } from './flows.ts';
import { alicePast, bobPast, OFFER, SECOND, SECOND_AT_BOB, SEEN_AT_ALICE, SEEN_AT_BOB } from './media.ts';

/** What happens to application lines that are live: channels and lines come and go, or nothing changes at all. */

const line = (party: Party, app: ApplicationLine['app'], ids: readonly number[]) =>
  applicationLine(party, {
    app,
    ids,
    ...(app === APP.e2DCe ? {} : { setup: party === 'alice' ? 'actpass' : 'passive' }),
  });

/** One channel, a second one on the same line, then the first one leaves: as one end sees it. */
const FIRST = [1000];
const BOTH = [1000, 1002];
const LAST = [1002];
const ALL_OF_BOTH = body(LIVE, 'a=dcmap:1000 ', 'a=dcmap:1002 ', requestedApplication(APP.e2DCe, BOTH));

/** The three states of such a line, with the first answer or offer that has it looked at more closely. */
function grows(app: ApplicationLine['app'], atAlice: Check, atBob: Check): Pick<Pair, 'uac' | 'uas'> {
  const seen = {
    both: [body('a=dcmap:1000 ', 'a=dcmap:1002 ', requestedApplication(app, BOTH)), ...sameAssociation('line', 1000)],
    last: [
      body('a=dcmap:1002 ', requestedApplication(app, LAST)),
      without('a=dcmap:1000 '),
      ...sameAssociation('line', 1002),
    ],
  };
  return {
    uac: [
      ...adds(
        [line('alice', app, FIRST)],
        [atAlice, without('a=dcmap:1002 '), ...remember('line', 1000), ...mediaLines(4)],
      ),
      ...changes(3, [line('alice', app, BOTH)], ...seen.both, ...mediaLines(4)),
      ...changes(4, [line('alice', app, LAST)], ...seen.last, ...mediaLines(4)),
      ...hangsUp(5),
    ],
    uas: [
      ...isAdded(
        [atBob, without('a=dcmap:1002 '), ...remember('line', 1000), ...mediaLines(4)],
        [line('bob', app, FIRST)],
      ),
      ...isChanged(3, [line('bob', app, BOTH)], ...seen.both, ...mediaLines(4)),
      ...isChanged(4, [line('bob', app, LAST)], ...seen.last, ...mediaLines(4)),
      ...isHungUpOn(),
    ],
  };
}

/** Bootstrap channels, an application past the MF and one through it. */
const ALL = [alicePast, applicationLine('alice', SECOND)] as const;
const RENEWED = [alicePast, applicationLine('alice', { ...SECOND, tlsId: 'alicesecondagain0001' })] as const;
const KEEPS = [...remember('own', 0), ...remember('sender', 100), ...remember('past', 1000)] as const;
const KEPT = [
  ...sameAssociation('own', 0),
  ...sameAssociation('sender', 100),
  ...sameAssociation('past', 1000),
] as const;

export const CHANNELS: readonly Pair[] = [
  {
    name: 'p2p-add-channel',
    shows:
      'A live line through the MF gets a second dcmap by re-INVITE, then loses the first: one association all the time.',
    conformance: [
      ['26.114 6.2.10.2', 'a channel is added to a live m-line by a further dcmap, without a new association'],
      ['R13', 'streams added within the headroom need no new association'],
    ],
    ...grows(APP.e2DCe, body(LINE.sender, LIVE, 'a=dcmap:1000 '), body(LINE.receiver, LIVE, 'a=dcmap:1000 ')),
  },
  {
    name: 'p2p-add-channel-past',
    shows: "The same past the MF: the handsets' own values stay through all of it.",
    conformance: [['26.114 6.2.10.2', 'channels come and go on a line that is not anchored']],
    ...grows(APP.past, SEEN_AT_ALICE, SEEN_AT_BOB),
  },
  {
    name: 'p2p-add-channel-e2e',
    shows: 'The same through the MF as datagrams: its ports stay, and so does everything of DTLS.',
    conformance: [['R10', 'channels come and go on a line that is anchored as datagrams']],
    ...grows(
      APP.e2e,
      body(LINE.sender, LIVE, 'a=tls-id:bobapp0000000000000', 'a=dcmap:1000 '),
      body(LINE.receiver, LIVE, 'a=tls-id:aliceapp00000000000', 'a=dcmap:1000 '),
    ),
  },
  {
    name: 'p2p-remove',
    shows: 'The application ends by port 0; its place stays in the SDP of both legs.',
    conformance: [['26.114 6.2.10.2', 'a data channel m-line is removed by port 0']],
    uac: [
      ...adds([alicePast], [SEEN_AT_ALICE]),
      ...changes(3, [closed()], body('m=audio 42000 ', LINE.own, LINE.sender, DEAD), ...mediaLines(4)),
      ...hangsUp(4),
    ],
    uas: [
      ...isAdded([SEEN_AT_BOB], [bobPast]),
      ...isChanged(3, [closed()], body('m=audio 40000 ', LINE.sender, LINE.receiver, DEAD), ...mediaLines(4)),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-remove-anchored',
    shows: 'The same for a line through the MF.',
    conformance: [['26.114 6.2.10.2', 'an anchored data channel m-line is removed by port 0']],
    uac: [
      ...adds([applicationLine('alice', { app: APP.e2DCe })], [body(LINE.sender, LIVE, 'a=dcmap:1000 ')]),
      ...changes(3, [closed()], body('m=audio 42000 ', LINE.own, LINE.sender, DEAD), ...mediaLines(4)),
      ...hangsUp(4),
    ],
    uas: [
      ...isAdded([body(LINE.receiver, LIVE, 'a=dcmap:1000 ')], [applicationLine('bob', { app: APP.e2DCe })]),
      ...isChanged(3, [closed()], body('m=audio 40000 ', LINE.sender, LINE.receiver, DEAD), ...mediaLines(4)),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-drop-channel',
    shows: 'One of two channels ends: its dcmap is left out, the line and the other channel stay.',
    conformance: [['26.114 6.2.10.2', 'a channel is removed by leaving its dcmap out']],
    uac: [
      ...adds(
        [applicationLine('alice', { app: APP.e2DCe, ids: [1000, 1002] })],
        [body('a=dcmap:1000 ', 'a=dcmap:1002 '), ...mediaLines(4)],
      ),
      ...changes(
        3,
        [applicationLine('alice', { app: APP.e2DCe, ids: [1000] })],
        body(LINE.sender, LIVE, 'a=dcmap:1000 '),
        without('a=dcmap:1002 '),
        ...mediaLines(4),
      ),
      ...hangsUp(4),
    ],
    uas: [
      ...isAdded(
        [body('a=dcmap:1000 ', 'a=dcmap:1002 '), ...mediaLines(4)],
        [applicationLine('bob', { app: APP.e2DCe, ids: [1000, 1002] })],
      ),
      ...isChanged(
        3,
        [applicationLine('bob', { app: APP.e2DCe, ids: [1000] })],
        body(LINE.receiver, LIVE, 'a=dcmap:1000 '),
        without('a=dcmap:1002 '),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-again',
    shows: 'An application is removed and another one takes its place in the SDP.',
    conformance: [['RFC 3264 8', 'the slot of a removed line is used again, as another line']],
    uac: [
      ...adds([alicePast], [SEEN_AT_ALICE]),
      ...changes(3, [closed()], body('m=audio 42000 ', LINE.own, LINE.sender, DEAD), ...mediaLines(4)),
      ...changes(
        4,
        [applicationLine('alice', SECOND)],
        body(LINE.sender, LIVE, 'a=setup:passive', 'a=dcmap:1004 '),
        ...mediaLines(4),
      ),
      ...hangsUp(5),
    ],
    uas: [
      ...isAdded([SEEN_AT_BOB], [bobPast]),
      ...isChanged(3, [closed()], body('m=audio 40000 ', LINE.sender, LINE.receiver, DEAD), ...mediaLines(4)),
      ...isChanged(
        4,
        [applicationLine('bob', SECOND_AT_BOB)],
        body(LINE.receiver, LIVE, 'a=dcmap:1004 '),
        without('alicesecond'),
        ...mediaLines(4),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-add-again',
    shows:
      'A channel leaves its line and comes again: the same association. Then the line leaves and comes again: a new one.',
    conformance: [
      ['26.114 6.2.10.2', 'a removed channel, and a removed line, of the same application are added again'],
      ['R8', 'a line that takes a freed slot is another line, with an association of its own'],
    ],
    uac: [
      ...adds([line('alice', APP.e2DCe, BOTH)], [ALL_OF_BOTH, ...remember('line', 1000), ...mediaLines(4)]),
      ...changes(3, [line('alice', APP.e2DCe, FIRST)], ...sameAssociation('line', 1000), without('a=dcmap:1002 ')),
      ...changes(4, [line('alice', APP.e2DCe, BOTH)], ALL_OF_BOTH, ...sameAssociation('line', 1000)),
      ...changes(5, [closed()], body(LINE.own, LINE.sender, DEAD), ...mediaLines(4)),
      ...changes(
        6,
        [applicationLine('alice', { app: APP.e2DCe, ids: BOTH, tlsId: 'aliceappagain0000001' })],
        ALL_OF_BOTH,
        newAssociation('line', 1000),
        ...mediaLines(4),
      ),
      ...hangsUp(7),
    ],
    uas: [
      ...isAdded([ALL_OF_BOTH, ...remember('line', 1000), ...mediaLines(4)], [line('bob', APP.e2DCe, BOTH)]),
      ...isChanged(3, [line('bob', APP.e2DCe, FIRST)], ...sameAssociation('line', 1000), without('a=dcmap:1002 ')),
      ...isChanged(4, [line('bob', APP.e2DCe, BOTH)], ALL_OF_BOTH, ...sameAssociation('line', 1000)),
      ...isChanged(5, [closed()], body(LINE.sender, LINE.receiver, DEAD), ...mediaLines(4)),
      ...isChanged(
        6,
        [applicationLine('bob', { app: APP.e2DCe, ids: BOTH, tlsId: 'bobappagain000000001' })],
        ALL_OF_BOTH,
        newAssociation('line', 1000),
        ...mediaLines(4),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-nothing-changes',
    shows:
      'A re-INVITE repeats bootstrap and application lines: answered by the AS with the same values, the callee hears nothing.',
    conformance: [
      ['R12', 'a re-INVITE that changes nothing begins no association, on no line'],
      ['R19', 'a re-INVITE whose other side would not change is answered by the AS itself'],
    ],
    uac: [
      ...adds(ALL, [SEEN_AT_ALICE, ...KEEPS, ...remember('second', 1004), ...mediaLines(5)]),
      ...offers(3, sdp('alice', 2, ...OFFER, ...ALL), [...KEPT, ...sameAssociation('second', 1004), ...mediaLines(5)]),
      ...hangsUp(4),
    ],
    uas: [
      ...isAdded([SEEN_AT_BOB, ...mediaLines(5)], [bobPast, applicationLine('bob', SECOND_AT_BOB)]),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'p2p-new-association',
    shows:
      'A new tls-id on the line through the MF: exactly one new association, on the leg of the handset that asks for it.',
    conformance: [['R12', 'a new tls-id begins one association; every other line and the other leg stay']],
    uac: [
      ...adds(ALL, [SEEN_AT_ALICE, ...KEEPS, ...remember('second', 1004), ...mediaLines(5)]),
      ...changes(3, RENEWED, ...KEPT, newAssociation('second', 1004), ...remember('renewed', 1004), ...mediaLines(5)),
      ...changes(4, RENEWED, ...KEPT, ...sameAssociation('renewed', 1004), ...mediaLines(5)),
      ...hangsUp(5),
    ],
    uas: [
      ...isAdded([SEEN_AT_BOB, ...mediaLines(5)], [bobPast, applicationLine('bob', SECOND_AT_BOB)]),
      ...isHungUpOn(),
    ],
  },
];
