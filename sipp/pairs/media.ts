import { body, DEAD, header, LINE, mediaLines, without } from '../script/check.ts';
import {
  APP,
  applicationLine,
  audio,
  flipped,
  ownLine,
  receiverLine,
  requestedApplication,
  sdp,
  senderLine,
} from '../script/sdp.ts';
import type { Check } from '../script/steps.ts';

/** The SDP of the usual calls, and what an end must see of it behind the AS. */

/** Call-ID-less mark that the odd header and the odd attribute of the INVITE have come through byte for byte. */
export const UNTOUCHED: readonly Check[] = [
  body('a=x-imsdc-untouched:7 keep me'),
  header('X-Untouched', 'two  spaces ; and a .quoted, comma.'),
];

/** Voice alone. */
export const PLAIN = { alice: sdp('alice', 1, audio('alice')), bob: sdp('bob', 1, audio('bob')) } as const;
export const PLAIN_AT_ALICE: readonly Check[] = [body('m=audio 42000 '), ...mediaLines(1)];
export const PLAIN_AT_BOB: readonly Check[] = [body('m=audio 40000 '), ...mediaLines(1)];

/** E1 of ue-side.md: audio, the line of the own network, the line of the far network. */
export const OFFER = [audio('alice'), ownLine('alice'), senderLine('alice')];
/** What the callee answers to E2: audio, sender and receiver line. */
export const ANSWER = [audio('bob'), senderLine('bob'), receiverLine('bob')];
/** Both as the first description of the call. */
export const ALICE = sdp('alice', 1, ...OFFER);
export const BOB = sdp('bob', 1, ...ANSWER);

/** The streams of a line with the content of the network alone. */
export const HTTP_0 = ['0 subprotocol="http"'];
export const HTTP_100 = ['100 subprotocol="http"'];
/** What a served callee answers: his own network's line, and that of the caller's network. */
export const SERVED_ANSWER = [audio('bob'), ownLine('bob', { streams: HTTP_0 }), receiverLine('bob')];

/** E2: towards the far network 0/10 are gone, `sender` is anchored, `receiver` is added; no ICE of our own accord. */
export const E2: readonly Check[] = [
  body('m=audio 40000 ', LINE.sender, LINE.receiver),
  ...mediaLines(3),
  without('a=dcmap:(0|10|110) '),
  without('a=(ice-ufrag|candidate)'),
  ...UNTOUCHED,
];

/** E4: the caller's two lines answered, each by our MF, which stays passive; user channels are not served. */
export const E4: readonly Check[] = [
  body('m=audio 42000 ', `${LINE.own}`, LINE.sender),
  body('a=setup:passive.*a=dcmap:0 .*a=setup:passive.*a=dcmap:100 '),
  ...mediaLines(3),
  without('a=dcmap:(10|110) '),
];

/** The same when the far network, or the callee, refuses: the own network still answers. */
export const ONLY_OWN: readonly Check[] = [body('m=audio 42000 ', LINE.own, DEAD), ...mediaLines(3)];

/** The usual call is held by one end: what it offers, what the other one answers, and what each must see of it. */
export const HOLD = {
  offer: (version: number) => sdp('alice', version, audio('alice', 'sendonly'), ...OFFER.slice(1)),
  answer: (version: number) => sdp('bob', version, audio('bob', 'recvonly'), ...ANSWER.slice(1)),
  atBob: body('m=audio 40000 ', 'a=sendonly', LINE.sender, LINE.receiver),
  atAlice: [body('m=audio 42000 ', 'a=recvonly', LINE.own, LINE.sender), ...mediaLines(3)],
} as const;
/** `3gpp-bdc-used-by` is relative to who offers (R8). */
export const HOLD_BY_BOB = {
  offer: (version: number) => sdp('bob', version, audio('bob', 'sendonly'), ...ANSWER.slice(1).map(flipped)),
  answer: (version: number) => sdp('alice', version, audio('alice', 'recvonly'), OFFER[1]!, flipped(OFFER[2]!)),
  atAlice: body('m=audio 42000 ', 'a=sendonly', 'a=dcmap:0 ', 'a=dcmap:100 ', 'a=3gpp-bdc-used-by:receiver'),
  atBob: [body('m=audio 40000 ', 'a=recvonly'), ...mediaLines(3)],
} as const;

/** An application line past the MF: the handsets' own values travel untouched. */
export const alicePast = applicationLine('alice', { app: APP.past, setup: 'actpass' });
export const bobPast = applicationLine('bob', { app: APP.past, setup: 'passive' });
export const SEEN_AT_BOB = body(
  'm=application 40020 ',
  'a=tls-id:aliceapp00000000000',
  'a=dcmap:1000 ',
  requestedApplication(APP.past, [1000]),
);
export const SEEN_AT_ALICE = body(
  'm=application 42020 ',
  'a=setup:passive',
  'a=tls-id:bobapp0000000000000',
  'a=dcmap:1000 ',
);
/** A second application on a line of its own. */
export const SECOND = { app: APP.e2DCe, ids: [1004], port: 40_022, tlsId: 'alicesecondapp000001' } as const;
export const SECOND_AT_BOB = { ...SECOND, port: 42_022, tlsId: 'bobsecondapp00000001' } as const;
