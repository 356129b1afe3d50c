import { answers, asked, invited, ok, respond } from '../script/callee.ts';
import {
  ack,
  alone,
  bye,
  establishes,
  expect,
  type Invite,
  invite,
  maybe,
  type Request,
  reinvite,
  request,
} from '../script/caller.ts';
import { body, DEAD, header, LINE, mediaLines, without } from '../script/check.ts';
import {
  APP,
  applicationLine,
  audio,
  ownLine,
  receiverLine,
  requestedApplication,
  sdp,
  senderLine,
} from '../script/sdp.ts';
import type { Check, Step } from '../script/steps.ts';

/** Sequences that most pairs begin and end with, and the SDP of the usual call with bootstrap channels. */

/** Longer than the first interval after which a message is sent again (T1, 500 ms), and a busy machine's delay. */
export const LONGER_THAN_T1_MS = 1_200;

/** Call-ID-less mark that the odd header and the odd attribute of the INVITE have come through byte for byte. */
export const UNTOUCHED: readonly Check[] = [
  body('a=x-imsdc-untouched:7 keep me'),
  header('X-Untouched', 'two  spaces ; and a .quoted, comma.'),
];

/** E1 of ue-side.md: audio, the line of the own network, the line of the far network. */
export const OFFER = [audio('alice'), ownLine('alice'), senderLine('alice')];
/** What the callee answers to E2: audio, sender and receiver line. */
export const ANSWER = [audio('bob'), senderLine('bob'), receiverLine('bob')];

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

/** INVITE to ACK at the caller. */
export function calls(options: Invite, ...answer: readonly Check[]): readonly Step[] {
  return [invite(options), ...maybe(100, 180), establishes(200, ...answer), ack(options.cseq ?? 1, userOf(options))];
}

/** Who calls must stand in From of every later request too. */
export function userOf({ caller, callee }: Invite): { readonly caller?: string; readonly callee?: string } {
  return { ...(caller === undefined ? {} : { caller }), ...(callee === undefined ? {} : { callee }) };
}

/** INVITE to ACK at the callee, who rings and answers. */
export function isCalled(offer: readonly Check[], answer: string): readonly Step[] {
  return [invited(...offer), respond(180), respond(200, { body: answer }), asked('ACK')];
}

/** The caller hangs up. */
export function hangsUp(cseq: number, options: Request = {}): readonly Step[] {
  return [bye(cseq, options), expect(200)];
}

export function isHungUpOn(): readonly Step[] {
  return [asked('BYE'), ok()];
}

/**
 * The caller tells the callee that it has seen something: an INFO, which the AS passes on. Where one end must not go on
 * before the other, this says so; a pause would leave it to the machine.
 */
export function tells(cseq: number, options: Request = {}): readonly Step[] {
  return [request('INFO', cseq, options), expect(200)];
}

export function isTold(): readonly Step[] {
  return [asked('INFO'), ok()];
}

/** A call with both bootstrap channels up, from where the application pairs start. */
export const bootstrapped = {
  uac: calls({ body: sdp('alice', 1, ...OFFER) }, ...E4),
  uas: isCalled(E2, sdp('bob', 1, ...ANSWER)),
} as const;

/** The usual call, then one re-INVITE of the caller with these media beside the bootstrap lines. */
export function adds(media: readonly string[], answer: readonly Check[]): readonly Step[] {
  return [
    ...bootstrapped.uac,
    reinvite(2, sdp('alice', 2, ...OFFER, ...media)),
    ...maybe(100),
    expect(200, body('m=audio 42000 ', LINE.own, LINE.sender), ...answer),
    ack(2),
  ];
}

/** The callee's part of `adds`. */
export function isAdded(offer: readonly Check[], media: readonly string[]): readonly Step[] {
  return [
    ...bootstrapped.uas,
    asked('INVITE', body('m=audio 40000 ', LINE.sender, LINE.receiver), ...offer),
    answers(200, { body: sdp('bob', 2, ...ANSWER, ...media) }),
    asked('ACK'),
  ];
}

/** A later re-INVITE, as both ends see it. */
export function changes(cseq: number, media: readonly string[], ...answer: Check[]): readonly Step[] {
  return [reinvite(cseq, sdp('alice', cseq, ...OFFER, ...media)), ...maybe(100), expect(200, ...answer), ack(cseq)];
}

export function isChanged(cseq: number, media: readonly string[], ...offer: Check[]): readonly Step[] {
  return [asked('INVITE', ...offer), answers(200, { body: sdp('bob', cseq, ...ANSWER, ...media) }), asked('ACK')];
}

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

/** A callee of whom `registersWithoutTag` has told the AS. */
export const LEGACY = 'legacy-[field1]@[field2]';

/** Third-party REGISTER of a handset without data channels, with its own REGISTER as message/sip (24.229 5.4.1.7). */
export function registersWithoutTag(): readonly Step[] {
  return [
    alone('REGISTER', LEGACY, {
      headers: ['Expires: 600'],
      contentType: 'message/sip',
      body: [
        'REGISTER sip:[field2] SIP/2.0',
        'Via: SIP/2.0/UDP 198.18.0.7:5060;branch=z9hG4bKinner[call_number]',
        `From: <sip:${LEGACY}>;tag=r[call_number]`,
        `To: <sip:${LEGACY}>`,
        'Call-ID: register-[call_id]',
        'CSeq: 1 REGISTER',
        'Max-Forwards: 70',
        'Contact: <sip:198.18.0.7:5060>;+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel";audio',
        'Content-Length: 0',
      ].join('\n'),
    }),
    expect(200),
  ];
}
