import { body, LINE, LIVE, mediaLines } from '../script/check.ts';
import { APP, applicationLine, audio, closed, ownLine, requestedApplication, sdp } from '../script/sdp.ts';
import { execute, type Pair } from '../script/steps.ts';
import { callerIsOffered, calls, hangsUp, isCalled, isHungUpOn, offers } from './flows.ts';
import { HTTP_0, PLAIN, PLAIN_AT_ALICE, PLAIN_AT_BOB } from './media.ts';

/** What the network begins. Users of their own: DC4 names a user, and other pairs call as those of users.csv. */

const OWN_LINE = [body('m=audio 42000 ', LINE.own), ...mediaLines(2)];
const BINDING = requestedApplication(APP.server, [1001], 'Server');
/** The handset's answer to the line of the DC AS. */
const channel = applicationLine('alice', { app: APP.server, ids: [1001], endpoint: 'Server' });
const own = ownLine('alice', { streams: HTTP_0 });
/** Alice's DC AS, or the operator, for a moment. */
const wants = (user: string, ...words: readonly string[]) =>
  execute(`[dc4] ${APP.server} sip:${user} ${words.join(' ')}`);

/** A call without data channels: they begin when the network wants it. */
const talks = (caller: string) => calls({ caller, body: PLAIN.alice }, ...PLAIN_AT_ALICE);
const hears = [...isCalled(PLAIN_AT_BOB, PLAIN.bob), ...isHungUpOn()];

const A2P = 'a2p-[call_number]@ims.example.com';
const BOTH = 'a2pboth-[call_number]@ims.example.com';
const LATER = 'later-[call_number]@ims.example.com';
const REFUSED = 'refuses-[call_number]@ims.example.com';

export const NETWORK: readonly Pair[] = [
  {
    name: 'a2p',
    shows: 'A DC AS calls a user whose call has no data channel: the AS adds the line by re-INVITE, B hears nothing.',
    conformance: [['23.228 AC.7.2.2', 'A2P: the network adds the first data channel line of a call by re-INVITE']],
    uac: [
      ...talks(A2P),
      wants(A2P, 'menu'),
      ...callerIsOffered(
        sdp('alice', 2, audio('alice'), channel),
        body('m=audio 42000 ', LIVE, 'a=setup:actpass', 'a=dcmap:1001 label="local_10000020_2_menu"', BINDING),
        ...mediaLines(2),
      ),
      // The call is one with data channels now: the handset ends the line itself.
      ...offers(
        2,
        sdp('alice', 3, audio('alice'), closed()),
        [body('m=audio 42000 ', 'm=application 0 '), ...mediaLines(2)],
        { caller: A2P },
      ),
      ...hangsUp(3, { caller: A2P }),
    ],
    uas: hears,
  },
  {
    name: 'a2p-with-bootstrap',
    shows:
      'The same with the bootstrap channel from which the handset fetches the application: one re-INVITE, two lines.',
    conformance: [['24.186 9.3.2.2.2', 'network-initiated bootstrap by re-INVITE, beside an application channel']],
    uac: [
      ...talks(BOTH),
      wants(BOTH, 'menu', '--bootstrap'),
      ...callerIsOffered(
        sdp('alice', 2, audio('alice'), own, channel),
        body('m=audio 42000 ', LINE.own, LIVE, 'a=dcmap:1001 ', BINDING),
        ...mediaLines(3),
      ),
      ...hangsUp(2, { caller: BOTH }),
    ],
    uas: hears,
  },
  {
    name: 'bootstrap-by-network',
    shows: 'The network opens the bootstrap channel by re-INVITE in a call that began without.',
    conformance: [['24.186 9.3.2.2.2', 'network-initiated bootstrap by re-INVITE']],
    uac: [
      ...talks(LATER),
      wants(LATER, '--bootstrap'),
      ...callerIsOffered(sdp('alice', 2, audio('alice'), own), ...OWN_LINE),
      ...hangsUp(2, { caller: LATER }),
    ],
    uas: hears,
  },
  {
    name: 'bootstrap-by-network-refused',
    shows: "The handset answers the network's line with port 0: nothing is left of it, the voice goes on.",
    conformance: [['24.186 9.3.2.2.2', 'network-initiated bootstrap that the UE refuses']],
    uac: [
      ...talks(REFUSED),
      wants(REFUSED, '--bootstrap'),
      ...callerIsOffered(sdp('alice', 2, audio('alice'), closed()), ...OWN_LINE),
      ...hangsUp(2, { caller: REFUSED }),
    ],
    uas: hears,
  },
];
