import { answers, request as ask, asked, invited, ok, type Response, respond } from '../script/callee.ts';
import {
  ack,
  ackFailure,
  alone,
  bye,
  establishes,
  expect,
  type Invite,
  invite,
  maybe,
  type Request,
  reinvite,
  reply,
  request,
} from '../script/caller.ts';
import { body, header, keep, LINE, mediaLines, save } from '../script/check.ts';
import { sdp } from '../script/sdp.ts';
import { type Check, label, type Send, type Step } from '../script/steps.ts';
import { ALICE, ANSWER, BOB, E2, E4, OFFER } from './media.ts';

/**
 * Sequences that pairs are made of. In the active voice stands what the caller does (`calls`, `changes`), in the passive
 * what the callee sees of it (`isCalled`, `isChanged`); where the callee begins it is the other way round, and the names
 * say who it is (`calleeOffers`, `callerIsOffered`).
 */

/** Longer than the first interval after which a message is sent again (T1, 500 ms), and a busy machine's delay. */
export const LONGER_THAN_T1_MS = 1_200;

/** INVITE to ACK at the caller. */
export function calls(options: Invite, ...answer: readonly Check[]): readonly Step[] {
  return [invite(options), ...maybe(100, 180), establishes(200, ...answer), ack(options.cseq ?? 1, dialogOf(options))];
}

/** Who calls must stand in From of every later request too. */
function userOf({ caller, callee }: Pick<Invite, 'caller' | 'callee'>): Pick<Invite, 'caller' | 'callee'> {
  return { ...(caller === undefined ? {} : { caller }), ...(callee === undefined ? {} : { callee }) };
}

/** The INVITE is refused: so the caller learns it. */
export function callsInVain(options: Invite, status: number, ...checks: readonly Check[]): readonly Step[] {
  const { cseq = 1 } = options;
  return [invite(options), ...maybe(100), expect(status, ...checks), ackFailure(cseq, dialogOf(options))];
}

type DialogOf = Pick<Invite, 'caller' | 'callee' | 'callId' | 'fromTag'>;

/** What every later request of a call has of its INVITE. */
function dialogOf({ callId, fromTag, ...user }: DialogOf): DialogOf {
  return {
    ...userOf(user),
    ...(callId === undefined ? {} : { callId }),
    ...(fromTag === undefined ? {} : { fromTag }),
  };
}

/** INVITE to ACK at the callee, who rings and answers. `options` are those of his answer. */
export function isCalled(
  offer: readonly Check[],
  answer: string,
  options: Pick<Response, 'headers' | 'incapable'> = {},
): readonly Step[] {
  const { incapable = false } = options;
  return [invited(...offer), respond(180, { incapable }), respond(200, { ...options, body: answer }), asked('ACK')];
}

/** The callee refuses. */
export function isCalledInVain(offer: readonly Check[], refusal: Send): readonly Step[] {
  return [invited(...offer), refusal, asked('ACK')];
}

/**
 * Two INVITEs come, each a call to SIPp: the first one is refused, and the second one answered and ended. It is the one in
 * which a check of `offer` has found something for the variable `second`. Needs `uasCalls: 2`.
 */
export function isCalledAgain(offer: readonly Check[], second: string, refusal: Send, answer: Send): readonly Step[] {
  return [
    { ...invited(...offer), jump: { to: '1', when: second } },
    refusal,
    { ...asked('ACK'), jump: { to: '2' } },
    label('1'),
    respond(180),
    answer,
    asked('ACK'),
    ...isHungUpOn(),
    label('2'),
  ];
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

/** The same of the callee, who must have kept the INVITE. */
export function calleeTells(cseq = 1): readonly Step[] {
  return [ask('INFO', cseq), expect(200)];
}

export function callerIsTold(): readonly Step[] {
  return [expect('INFO'), reply(200)];
}

/** A re-INVITE of the caller. */
export function offers(cseq: number, text: string, answer: readonly Check[], options: Request = {}): readonly Step[] {
  return [reinvite(cseq, text, options), ...maybe(100), expect(200, ...answer), ack(cseq, userOf(options))];
}

/** The same, refused: the call stays as it was. */
export function offersInVain(cseq: number, text: string, status: number, options: Request = {}): readonly Step[] {
  return [
    reinvite(cseq, text, options),
    ...maybe(100),
    expect(status),
    ackFailure(cseq, { inDialog: true, ...userOf(options) }),
  ];
}

export function isOffered(answer: string, ...offer: readonly Check[]): readonly Step[] {
  return [asked('INVITE', ...offer), answers(200, { body: answer }), asked('ACK')];
}

/** RFC 4028: the caller refreshes the session. */
const REFRESHER = 'Session-Expires: 1800;refresher=uac';
export const TIMER = [REFRESHER, 'Require: timer'];

/** The caller refreshes the usual call by re-INVITE: nothing is new. */
export function refreshes(cseq: number, ...more: readonly Check[]): readonly Step[] {
  return offers(cseq, ALICE, [...E4, ...more, header('Session-Expires', '1800')], { headers: [REFRESHER] });
}

export function isRefreshed(): readonly Step[] {
  return [
    asked('INVITE', header('Session-Expires', '1800'), body(LINE.sender, LINE.receiver), ...mediaLines(3)),
    answers(200, { body: BOB, headers: TIMER }),
    asked('ACK'),
  ];
}

/** A re-INVITE of the callee, who must have kept the INVITE. */
export function calleeOffers(cseq: number, text: string, ...answer: readonly Check[]): readonly Step[] {
  return [ask('INVITE', cseq, { body: text }), ...maybe(100), expect(200, ...answer), ask('ACK', cseq)];
}

/** A re-INVITE to the caller: of the callee, or of the AS itself. */
export function callerIsOffered(answer: string, ...offer: readonly Check[]): readonly Step[] {
  return [expect('INVITE', ...offer), reply(200, { body: answer }), expect('ACK')];
}

/** A call with both bootstrap channels up, from where the application pairs start. */
export const bootstrapped = {
  uac: calls({ body: ALICE }, ...E4),
  uas: isCalled(E2, BOB),
  /** For a callee who will send requests too, or answer one after another one. */
  uasKeeping: isCalled([...E2, ...keep()], BOB),
} as const;

/** The usual call, then one re-INVITE of the caller with these media beside the bootstrap lines. */
export function adds(media: readonly string[], answer: readonly Check[]): readonly Step[] {
  return [...bootstrapped.uac, ...changes(2, media, body('m=audio 42000 ', LINE.own, LINE.sender), ...answer)];
}

/** The callee's part of `adds`. */
export function isAdded(offer: readonly Check[], media: readonly string[]): readonly Step[] {
  return [...bootstrapped.uas, ...isChanged(2, media, body('m=audio 40000 ', LINE.sender, LINE.receiver), ...offer)];
}

/** A later re-INVITE, as both ends see it. */
export function changes(cseq: number, media: readonly string[], ...answer: Check[]): readonly Step[] {
  return offers(cseq, sdp('alice', cseq, ...OFFER, ...media), answer);
}

export function isChanged(cseq: number, media: readonly string[], ...offer: Check[]): readonly Step[] {
  return isOffered(sdp('bob', cseq, ...ANSWER, ...media), ...offer);
}

/** RFC 3262: RSeq as the callee counts it, and as the caller hears it. */
export const RELIABLE = ['Require: 100rel', 'RSeq: 4711'];
export const RSEQ = save('rseq', 'RSeq', '[0-9]+');
/** RAck names the RSeq of the callee's own leg, and the INVITE as it counts there. */
export const RACK = header('RAck', '4711 [0-9]+ INVITE');

/** PRACK of the reliable 1xx whose RSeq `RSEQ` kept. */
export function prack(cseq: number, text = ''): Send {
  return request('PRACK', cseq, { body: text, headers: ['RAck: [$rseq] 1 INVITE'] });
}

/** INVITE to a reliable 183, of whose PRACK the caller decides. */
export function callsReliably(text: string, ...answer: readonly Check[]): readonly Step[] {
  return [invite({ body: text, headers: ['Require: 100rel'] }), ...maybe(100), establishes(183, ...answer, RSEQ)];
}

/** The same, and PRACK, without SDP. */
export function hearsReliably(text: string, ...answer: readonly Check[]): readonly Step[] {
  return [...callsReliably(text, ...answer), prack(2), expect(200)];
}

/** The callee sends a reliable 183; `inPrack`: what the PRACK must have, `answer` its 200. */
export function progresses(
  offer: readonly Check[],
  text: string,
  inPrack: readonly Check[] = [],
  answer: Response = {},
): readonly Step[] {
  return [
    invited(...offer, ...keep()),
    respond(183, { body: text, headers: RELIABLE }),
    asked('PRACK', RACK, ...inPrack),
    ok(answer),
  ];
}

/** The callee rings and answers, after a reliable 183 that had the SDP; the caller hangs up. */
export function getsThrough(bye: number): readonly Step[] {
  return [...maybe(180), establishes(200), ack(), ...hangsUp(bye)];
}

export function answersAtLast(options: Response = {}): readonly Step[] {
  return [respond(180, { to: 'invite' }), respond(200, { ...options, to: 'invite' }), asked('ACK'), ...isHungUpOn()];
}

/** Route to the terminating side of the same AS. */
export const TO_TERMINATING = '<sip:[remote_ip]:[remote_port];transport=[transport];lr;term>';

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
