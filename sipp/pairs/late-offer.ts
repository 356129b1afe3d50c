import { asked, invited, ok, respond } from '../script/callee.ts';
import { ack, establishes, expect, invite, maybe } from '../script/caller.ts';
import { body, DEAD, header, keep, LINE, LIVE, mediaLines, without } from '../script/check.ts';
import { audio, ownLine, receiverLine, sdp, senderLine } from '../script/sdp.ts';
import type { Pair } from '../script/steps.ts';
import {
  calleeTells,
  callerIsOffered,
  callerIsTold,
  callsReliably,
  hangsUp,
  isHungUpOn,
  isOffered,
  prack,
  RACK,
  RELIABLE,
} from './flows.ts';
import { HTTP_0, PLAIN } from './media.ts';

/** The caller asks for an offer (INVITE without SDP), and the callee's has data channels (R18). */

const own = ownLine('alice', { streams: HTTP_0 });

/** INVITE to ACK: the voice is agreed, and the data channels are for later. */
const asksForOffer = [
  invite({ body: '' }),
  ...maybe(100, 180),
  establishes(200, body('m=audio 42000 '), without(LIVE)),
  ack(1, { body: PLAIN.alice }),
] as const;
const isAskedForOffer = [invited(header('X-Untouched', 'two  spaces'), ...keep()), respond(180)] as const;

/** Each end gets a line of the MF by re-INVITE, first the caller, then the callee, who says when it is done. */
const ownIsAdded = [
  ...callerIsOffered(sdp('alice', 2, audio('alice'), own), body('m=audio 42000 ', LINE.own), ...mediaLines(2)),
  // Then it is the callee's turn, which does not come by here: it says when it is done.
  ...callerIsTold(),
] as const;
const farIsAdded = [
  ...isOffered(
    sdp('bob', 2, audio('bob'), receiverLine('bob', { more: [] })),
    body('m=audio 40000 ', `${LIVE}.*a=dcmap:100 `),
    ...mediaLines(2),
  ),
  ...calleeTells(),
] as const;

export const LATE_OFFER: readonly Pair[] = [
  {
    name: 'bootstrap-in-late-offer',
    shows:
      'INVITE without SDP; the callee offers data channels in its 2xx: port 0 in the ACK, then re-INVITEs to both.',
    conformance: [['R18', 'data channels of a late offer: answered with port 0, added by re-INVITE']],
    uac: [...asksForOffer, ...ownIsAdded, ...hangsUp(2)],
    uas: [
      ...isAskedForOffer,
      respond(200, { body: sdp('bob', 1, audio('bob'), senderLine('bob')) }),
      asked('ACK', body('m=audio 40000 ', DEAD), ...mediaLines(2)),
      ...farIsAdded,
      ...isHungUpOn(),
    ],
  },
  {
    name: 'bootstrap-in-offer-in-183',
    shows:
      'The callee offers data channels in a reliable 183: port 0 in the PRACK, and re-INVITEs to both once the call is up.',
    conformance: [['R18', 'data channels of an offer in a reliable 18x: answered with port 0, added behind the ACK']],
    uac: [
      ...callsReliably('', body('m=audio 42000 '), without(LIVE)),
      prack(2, PLAIN.alice),
      expect(200),
      ...maybe(180),
      establishes(200),
      ack(),
      ...ownIsAdded,
      ...hangsUp(3),
    ],
    uas: [
      invited(header('X-Untouched', 'two  spaces'), ...keep()),
      respond(183, { body: sdp('bob', 1, audio('bob'), senderLine('bob')), headers: RELIABLE }),
      asked('PRACK', RACK, body('m=audio 40000 ', DEAD), ...mediaLines(2)),
      ok(),
      respond(180, { to: 'invite' }),
      respond(200, { to: 'invite' }),
      asked('ACK'),
      ...farIsAdded,
      ...isHungUpOn(),
    ],
  },
  {
    name: 'bootstrap-in-late-offer-transit',
    shows:
      'The late offer of the far network has a line in transit: offered to the served user first, then to who wanted it.',
    conformance: [
      ['R18', 'a line in transit of a late offer: re-INVITE to the far peer, then to the one that offered it'],
    ],
    uac: [
      ...asksForOffer,
      ...callerIsOffered(
        sdp('alice', 2, audio('alice'), own, receiverLine('alice')),
        body('m=audio 42000 ', LINE.own, LINE.receiver),
        ...mediaLines(3),
      ),
      ...callerIsTold(),
      ...hangsUp(2),
    ],
    uas: [
      ...isAskedForOffer,
      respond(200, { body: sdp('bob', 1, audio('bob'), senderLine('bob'), receiverLine('bob')) }),
      asked('ACK', body('m=audio 40000 ', DEAD, DEAD), ...mediaLines(3)),
      // Who was the sender of the offer is its receiver now (R8).
      ...isOffered(
        sdp('bob', 2, audio('bob'), receiverLine('bob'), senderLine('bob')),
        body('m=audio 40000 ', LINE.receiver, LINE.sender),
        ...mediaLines(3),
      ),
      ...calleeTells(),
      ...isHungUpOn(),
    ],
  },
];
