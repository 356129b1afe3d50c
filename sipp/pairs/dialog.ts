import {
  answers,
  request as ask,
  asked,
  ackFailure as callerRefused,
  invited,
  keep,
  ok,
  respond,
  trying,
} from '../script/callee.ts';
import { ack, ackFailure, cancel, expect, invite, maybe, reinvite, reply, request } from '../script/caller.ts';
import { body, header, LINE, mediaLines, save } from '../script/check.ts';
import { APP, applicationLine, audio, flipped, sdp } from '../script/sdp.ts';
import { label, type Pair } from '../script/steps.ts';
import { ANSWER, bootstrapped, calls, E2, E4, hangsUp, isHungUpOn, OFFER } from './flows.ts';

/** What happens in an established call. */

/** The callee's part of `bootstrapped`, for a callee who will send requests too. */
const called = [
  invited(...E2, ...keep()),
  respond(180),
  respond(200, { body: sdp('bob', 1, ...ANSWER) }),
  asked('ACK'),
];
const held = { alice: audio('alice', 'sendonly'), bob: audio('bob', 'recvonly') } as const;
const SAME_LINES = body(LINE.own, LINE.sender);

const SAME_CALLER_LINES = body('a=dcmap:0 ', 'a=dcmap:100 ', 'a=3gpp-bdc-used-by:receiver');
const HOUR_S = 3600;
const TIMER_UAC = ['Session-Expires: 1800;refresher=uac', 'Require: timer'];

/** Identifiers that the AS minted: SIPp's own Call-IDs look like 1-4711@127.0.0.1, and its tags are short. */
const OURS = '[a-z0-9]+[.][0-9]+[.][a-z0-9]+[.][a-z0-9-]+';

export const DIALOG: readonly Pair[] = [
  {
    name: 'hold-resume',
    shows: 'Hold and resume: audio changes direction, the data channel lines stay as they are.',
    conformance: [
      ['RFC 3264 8.4', 'hold and resume'],
      ['R12', 'a re-INVITE that changes nothing in a data channel line begins no association'],
    ],
    uac: [
      ...bootstrapped.uac,
      reinvite(2, sdp('alice', 2, held.alice, ...OFFER.slice(1))),
      ...maybe(100),
      expect(200, body('m=audio 42000 ', 'a=recvonly', LINE.own, LINE.sender), ...mediaLines(3)),
      ack(2),
      reinvite(3, sdp('alice', 3, ...OFFER)),
      ...maybe(100),
      expect(200, body('m=audio 42000 ', 'a=sendrecv', LINE.own, LINE.sender), ...mediaLines(3)),
      ack(3),
      ...hangsUp(4),
    ],
    uas: [
      ...called,
      asked('INVITE', body('m=audio 40000 ', 'a=sendonly', LINE.sender, LINE.receiver), ...mediaLines(3)),
      answers(200, { body: sdp('bob', 2, held.bob, ...ANSWER.slice(1)) }),
      asked('ACK'),
      asked('INVITE', body('m=audio 40000 ', 'a=sendrecv', LINE.sender, LINE.receiver), ...mediaLines(3)),
      answers(200, { body: sdp('bob', 3, ...ANSWER) }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'hold-by-callee',
    shows: 'The callee holds the call: its re-INVITE goes to the served caller, whose lines stay.',
    conformance: [['RFC 3264 8.4', 'hold by the callee; used-by is flipped in its offer (R8)']],
    uac: [
      ...bootstrapped.uac,
      expect('INVITE', body('m=audio 42000 ', 'a=sendonly'), SAME_CALLER_LINES),
      reply(200, { body: sdp('alice', 2, audio('alice', 'recvonly'), OFFER[1]!, flipped(OFFER[2]!)) }),
      expect('ACK'),
      ...hangsUp(2),
    ],
    uas: [
      ...called,
      ask('INVITE', 1, { body: sdp('bob', 2, audio('bob', 'sendonly'), ...ANSWER.slice(1).map(flipped)) }),
      ...maybe(100),
      expect(200, body('m=audio 40000 ', 'a=recvonly'), ...mediaLines(3)),
      ask('ACK', 1),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'cancel-reinvite',
    shows: 'A re-INVITE is cancelled: 487, everything is as before, and the next one works.',
    conformance: [['RFC 3261 9', 'CANCEL of a re-INVITE ends the attempt, not the call']],
    uac: [
      ...bootstrapped.uac,
      reinvite(2, sdp('alice', 2, held.alice, ...OFFER.slice(1))),
      expect(100),
      cancel(2),
      expect(200),
      expect(487),
      ackFailure(2, { inDialog: true }),
      reinvite(3, sdp('alice', 2, held.alice, ...OFFER.slice(1))),
      ...maybe(100),
      expect(200, body('m=audio 42000 ', 'a=recvonly', LINE.own, LINE.sender), ...mediaLines(3)),
      ack(3),
      ...hangsUp(4),
    ],
    uas: [
      ...called,
      asked('INVITE', body('a=sendonly'), ...keep('reinvite')),
      trying(),
      asked('CANCEL'),
      ok(),
      answers(487, { to: 'reinvite' }),
      asked('ACK'),
      asked('INVITE', body('m=audio 40000 ', 'a=sendonly', LINE.sender, LINE.receiver), ...mediaLines(3)),
      answers(200, { body: sdp('bob', 2, held.bob, ...ANSWER.slice(1)) }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'update',
    shows: 'UPDATE in the established call: an application channel without a three-way handshake.',
    conformance: [['RFC 3311', 'UPDATE with an offer in an established call']],
    uac: [
      ...bootstrapped.uac,
      request('UPDATE', 2, {
        body: sdp('alice', 2, ...OFFER, applicationLine('alice', { app: APP.past, setup: 'actpass' })),
      }),
      expect(200, SAME_LINES, body('m=application 42020 ', 'a=dcmap:1000 '), ...mediaLines(4)),
      ...hangsUp(3),
    ],
    uas: [
      ...called,
      asked('UPDATE', body('m=audio 40000 ', LINE.sender, LINE.receiver, 'm=application 40020 '), ...mediaLines(4)),
      ok({ body: sdp('bob', 2, ...ANSWER, applicationLine('bob', { app: APP.past, setup: 'passive' })) }),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'session-timer-uac',
    shows: 'The caller refreshes the session by re-INVITE: everything stays as it was.',
    conformance: [['RFC 4028', 'refresh by the caller, re-INVITE']],
    uac: [
      ...calls({ body: sdp('alice', 1, ...OFFER) }, ...E4, header('Session-Expires', '1800;refresher=uac')),
      reinvite(2, sdp('alice', 1, ...OFFER), { headers: ['Session-Expires: 1800;refresher=uac'] }),
      ...maybe(100),
      expect(200, ...E4, header('Session-Expires', '1800')),
      ack(2),
      ...hangsUp(3),
    ],
    uas: [
      invited(...E2, header('Session-Expires', '1800')),
      respond(180),
      respond(200, { body: sdp('bob', 1, ...ANSWER), headers: TIMER_UAC }),
      asked('ACK'),
      asked('INVITE', header('Session-Expires', '1800'), body(LINE.sender, LINE.receiver), ...mediaLines(3)),
      answers(200, { body: sdp('bob', 1, ...ANSWER), headers: TIMER_UAC }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'session-timer-uas',
    shows: 'The callee refreshes the session by UPDATE without SDP.',
    conformance: [['RFC 4028', 'refresh by the callee, UPDATE']],
    uac: [
      ...calls(
        { body: sdp('alice', 1, ...OFFER), refresher: 'uas' },
        ...E4,
        header('Session-Expires', 'refresher=uas'),
      ),
      expect('UPDATE', header('Session-Expires', '1800;refresher=uac')),
      reply(200, { headers: ['Session-Expires: 1800;refresher=uac', 'Require: timer'] }),
      ...hangsUp(2),
    ],
    uas: [
      invited(...E2, ...keep()),
      respond(180),
      respond(200, {
        body: sdp('bob', 1, ...ANSWER),
        headers: ['Session-Expires: 1800;refresher=uas', 'Require: timer'],
      }),
      asked('ACK'),
      ask('UPDATE', 1, { headers: ['Session-Expires: 1800;refresher=uac'] }),
      expect(200, header('Session-Expires', '1800')),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'session-timer-too-small',
    shows:
      'The callee wants fewer refreshes: 422 with its Min-SE passes, the second INVITE asks for an hour and gets it.',
    conformance: [['RFC 4028 7.2', '422 passes with Min-SE, and the INVITE that obeys it']],
    uac: [
      invite({ body: sdp('alice', 1, ...OFFER) }),
      ...maybe(100),
      expect(422, header('Min-SE', '3600')),
      ackFailure(),
      ...calls(
        { body: sdp('alice', 1, ...OFFER), cseq: 2, expires: HOUR_S, minSe: HOUR_S },
        ...E4,
        header('Session-Expires', '3600;refresher=uac'),
      ),
      ...hangsUp(3),
    ],
    uas: [
      {
        ...invited(...E2, save('enough', 'Session-Expires', '3600')),
        jump: { to: '1', when: 'enough' },
      },
      respond(422, { headers: [`Min-SE: ${HOUR_S}`] }),
      { ...asked('ACK'), jump: { to: '2' } },
      label('1'),
      respond(180),
      respond(200, {
        body: sdp('bob', 1, ...ANSWER),
        headers: [`Session-Expires: ${HOUR_S};refresher=uac`, 'Require: timer'],
      }),
      asked('ACK'),
      ...isHungUpOn(),
      label('2'),
    ],
    run: { uasCalls: 2 },
  },
  {
    name: 'requests-inside',
    shows: "INFO, MESSAGE and OPTIONS inside the dialog are the other side's to answer.",
    conformance: [['RFC 3261 12.2', 'requests inside a dialog pass, with their bodies']],
    uac: [
      ...bootstrapped.uac,
      request('INFO', 2, { body: 'Signal=5', contentType: 'application/dtmf-relay' }),
      expect(200),
      request('MESSAGE', 3, { body: 'hello', contentType: 'text/plain' }),
      expect(200),
      request('OPTIONS', 4),
      expect(200, header('Allow', 'INVITE')),
      ...hangsUp(5),
    ],
    uas: [
      ...called,
      asked('INFO', header('Content-Type', 'application/dtmf-relay'), body('Signal=5')),
      ok(),
      asked('MESSAGE', body('hello')),
      ok(),
      asked('OPTIONS'),
      ok(),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'bye-by-callee',
    shows: 'The callee hangs up.',
    conformance: [['RFC 3261 15', 'BYE of the callee']],
    uac: [...bootstrapped.uac, expect('BYE'), reply(200)],
    uas: [...called, ask('BYE', 1), expect(200)],
  },
  {
    name: 'refer',
    shows: 'Call transfer: REFER, 202, NOTIFY with the progress; Refer-To names this dialog and is translated.',
    conformance: [
      ['R21', 'Refer-To with Replaces: our dialog there becomes our dialog here'],
      ['RFC 3515', 'REFER and NOTIFY inside the dialog'],
    ],
    uac: [
      ...bootstrapped.uac,
      // The callee named the dialog by its own Call-ID; SIPp's Call-IDs look like 1-4711@127.0.0.1.
      expect('REFER', header('Refer-To', 'Replaces=[0-9]+-[0-9]+(@|%40)')),
      reply(202),
      request('NOTIFY', 2, {
        headers: ['Event: refer', 'Subscription-State: terminated;reason=noresource'],
        body: 'SIP/2.0 200 OK',
        contentType: 'message/sipfrag',
      }),
      expect(200),
      ...hangsUp(3),
    ],
    uas: [
      invited(...E2, ...keep(), save('callerTag', 'From', OURS)),
      respond(180),
      respond(200, { body: sdp('bob', 1, ...ANSWER) }),
      asked('ACK'),
      ask('REFER', 1, {
        headers: [
          'Refer-To: <sip:carol@ims.example.com?Replaces=[call_id]%3Bto-tag%3Db[call_number]%3Bfrom-tag%3D[$callerTag]>',
          'Referred-By: <sip:bob@ims.example.com>',
        ],
      }),
      expect(202),
      asked('NOTIFY', header('Event', 'refer'), body('SIP/2.0 200 OK')),
      ok(),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'replaces',
    shows:
      'A second INVITE with Replaces names the first dialog as the caller knows it; the callee gets its own name of it.',
    conformance: [['R21', 'INVITE with Replaces: the dialog is named as the receiver knows it']],
    uac: [
      ...calls({ body: sdp('alice', 1, audio('alice')) }, body('m=audio 42000 '), save('peerTag', 'To', 'tag=.+')),
      invite({
        body: sdp('alice', 1, audio('alice')),
        callId: '2///[call_id]',
        fromTag: 'second',
        cseq: 10,
        headers: ['Replaces: [call_id];to-[$peerTag];from-tag=a[call_number]'],
      }),
      ...maybe(100, 180),
      expect(486),
      ackFailure(10, { callId: '2///[call_id]', fromTag: 'second' }),
      ...hangsUp(2, { toTag: '[$peerTag]' }),
    ],
    uas: [
      {
        ...invited(save('replaces', 'Replaces', `${OURS};to-tag=b[0-9]+;from-tag=${OURS}`)),
        jump: { to: '1', when: 'replaces' },
      },
      respond(180),
      respond(200, { body: sdp('bob', 1, audio('bob')) }),
      asked('ACK'),
      { ...asked('BYE'), jump: { to: '2' } },
      label('1'),
      respond(486),
      { ...asked('ACK'), jump: { to: '3' } },
      label('2'),
      ok(),
      label('3'),
    ],
    run: { uasCalls: 2 },
  },
  {
    name: 'glare-at-callee',
    shows: 'Both want to change the session; the callee answers 491, the caller waits and tries again.',
    conformance: [['RFC 3261 14.1', '491 passes; the second attempt succeeds']],
    uac: [
      ...bootstrapped.uac,
      reinvite(2, sdp('alice', 2, held.alice, ...OFFER.slice(1))),
      ...maybe(100),
      expect(491),
      ackFailure(2, { inDialog: true }),
      reinvite(3, sdp('alice', 2, held.alice, ...OFFER.slice(1))),
      ...maybe(100),
      expect(200, body('m=audio 42000 ', 'a=recvonly', LINE.own, LINE.sender), ...mediaLines(3)),
      ack(3),
      ...hangsUp(4),
    ],
    uas: [
      ...called,
      asked('INVITE', body('a=sendonly')),
      answers(491),
      asked('ACK'),
      asked('INVITE', body('m=audio 40000 ', 'a=sendonly', LINE.sender, LINE.receiver), ...mediaLines(3)),
      answers(200, { body: sdp('bob', 2, held.bob, ...ANSWER.slice(1)) }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'glare-at-as',
    shows: "The callee sends a re-INVITE while the caller's is open: 491 from the AS; the first one goes on.",
    conformance: [['RFC 3261 14.2', '491 while an INVITE of the other direction is open']],
    uac: [
      ...bootstrapped.uac,
      reinvite(2, sdp('alice', 2, held.alice, ...OFFER.slice(1))),
      ...maybe(100),
      expect(200, body('m=audio 42000 ', 'a=recvonly', LINE.own, LINE.sender), ...mediaLines(3)),
      ack(2),
      ...hangsUp(3),
    ],
    uas: [
      ...called,
      asked('INVITE', body('a=sendonly'), ...keep('reinvite')),
      ask('INVITE', 1, { body: sdp('bob', 2, ...ANSWER.map(flipped)) }),
      ...maybe(100),
      expect(491),
      callerRefused(1),
      answers(200, { to: 'reinvite', body: sdp('bob', 2, held.bob, ...ANSWER.slice(1)) }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
];
