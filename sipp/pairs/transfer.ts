import { request as ask, asked, invited, ok, respond } from '../script/callee.ts';
import { expect, type Request, reply, request } from '../script/caller.ts';
import { body, header, keep, save } from '../script/check.ts';
import { label, type Pair, type Step } from '../script/steps.ts';
import { bootstrapped, calls, callsInVain, hangsUp, isCalled, isHungUpOn } from './flows.ts';
import { ALICE, BOB, E2, E4, PLAIN } from './media.ts';

/** Call transfer: REFER and INVITE with Replaces name a dialog, and each of our calls is two of them (R21). */

/** Identifiers that the AS minted: SIPp's own Call-IDs look like 1-4711@127.0.0.1, and its tags are short. */
const OURS = '[a-z0-9]+[.][0-9]+[.][a-z0-9]+[.][a-z0-9-]+';
/** The second call of the caller. */
const SECOND = { callId: '2///[call_id]', fromTag: 'second' } as const;
const DESK = 'desk-[call_number]@ims.example.com';
/** Its first one, for requests in it after the second one has come about, and as it names it. */
const FIRST = { toTag: '[$peerTag]', target: '[$peerUri]' } as const;
const KEEPS_FIRST = [save('peerTag', 'To', 'tag=.+'), save('peerUri', 'Contact', 'sip:[^>]+')] as const;
const NAMES_FIRST = ['Replaces: [call_id];to-[$peerTag];from-tag=a[call_number]'] as const;

/** How far the transfer has come, as the transferee tells it. */
const notifies = (cseq: number, state: string, progress: string, dialog: Request = {}): readonly Step[] => [
  request('NOTIFY', cseq, {
    ...dialog,
    headers: ['Event: refer', `Subscription-State: ${state}`],
    body: progress,
    contentType: 'message/sipfrag',
  }),
  expect(200),
];
const isNotified = (progress: string): readonly Step[] => [
  asked('NOTIFY', header('Event', 'refer'), body(progress)),
  ok(),
];

/** The callee sends the caller to somebody else, who is to take the place of this dialog. */
const refers = (who: string): readonly Step[] => [
  ask('REFER', 1, {
    headers: [
      `Refer-To: <sip:${who}@ims.example.com?Replaces=[call_id]%3Bto-tag%3Db[call_number]%3Bfrom-tag%3D[$callerTag]>`,
      'Referred-By: <sip:bob@ims.example.com>',
    ],
  }),
  expect(202),
];
/** The callee named the dialog by its own Call-ID; SIPp's Call-IDs look like 1-4711@127.0.0.1. */
const isReferred: readonly Step[] = [expect('REFER', header('Refer-To', 'Replaces=[0-9]+-[0-9]+(@|%40)')), reply(202)];
const KEEPS_CALLER = [...keep(), save('callerTag', 'From', OURS)] as const;

/** The first dialog as the callee knows it. */
const REPLACES = save('replaces', 'Replaces', `${OURS};to-tag=b[0-9]+;from-tag=${OURS}`);

export const TRANSFER: readonly Pair[] = [
  {
    name: 'refer',
    shows: 'Call transfer: REFER, 202, NOTIFY with the progress; Refer-To names this dialog and is translated.',
    conformance: [
      ['R21', 'Refer-To with Replaces: our dialog there becomes our dialog here'],
      ['RFC 3515', 'REFER and NOTIFY inside the dialog'],
    ],
    uac: [
      ...bootstrapped.uac,
      ...isReferred,
      ...notifies(2, 'terminated;reason=noresource', 'SIP/2.0 200 OK'),
      ...hangsUp(3),
    ],
    uas: [
      ...isCalled([...E2, ...KEEPS_CALLER], BOB),
      ...refers('carol'),
      ...isNotified('SIP/2.0 200 OK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'transfer',
    shows:
      'A transfer that completes: REFER, the INVITE with Replaces is answered, with channels of its own, and its callee ends the first call by BYE.',
    conformance: [
      ['RFC 3891 3', 'INVITE with Replaces is answered, and the replaced dialog ended by BYE'],
      ['R21', 'REFER, Replaces and NOTIFY of a transfer name each dialog as their reader knows it'],
    ],
    uac: [
      ...calls({ body: ALICE }, ...E4, ...KEEPS_FIRST),
      ...isReferred,
      ...notifies(2, 'active;expires=60', 'SIP/2.0 100 Trying'),
      ...calls(
        { ...SECOND, callee: DESK, body: ALICE, cseq: 10, headers: NAMES_FIRST },
        ...E4,
        save('deskTag', 'To', 'tag=.+'),
        save('deskUri', 'Contact', 'sip:[^>]+'),
      ),
      ...notifies(3, 'terminated;reason=noresource', 'SIP/2.0 200 OK', FIRST),
      expect('BYE', header('Call-ID', '^ *[0-9]+-')),
      reply(200),
      ...hangsUp(11, { ...SECOND, callee: DESK, toTag: '[$deskTag]', target: '[$deskUri]' }),
    ],
    uas: [
      { ...invited(...E2, ...KEEPS_CALLER, REPLACES), jump: { to: '1', when: 'replaces' } },
      respond(180),
      respond(200, { body: BOB }),
      asked('ACK'),
      ...refers('desk-[call_number]'),
      ...isNotified('SIP/2.0 100 Trying'),
      ...isNotified('SIP/2.0 200 OK'),
      ask('BYE', 2),
      { ...expect(200), jump: { to: '2' } },
      label('1'),
      respond(180),
      respond(200, { body: BOB }),
      asked('ACK'),
      ...isHungUpOn(),
      label('2'),
    ],
    run: { uasCalls: 2 },
  },
  {
    name: 'replaces',
    shows:
      'A second INVITE with Replaces names the first dialog as the caller knows it; the callee gets its own name of it.',
    conformance: [['R21', 'INVITE with Replaces: the dialog is named as the receiver knows it']],
    uac: [
      ...calls({ body: PLAIN.alice }, body('m=audio 42000 '), ...KEEPS_FIRST),
      ...callsInVain({ ...SECOND, body: PLAIN.alice, cseq: 10, headers: NAMES_FIRST }, 486),
      ...hangsUp(2, FIRST),
    ],
    uas: [
      { ...invited(REPLACES), jump: { to: '1', when: 'replaces' } },
      respond(180),
      respond(200, { body: PLAIN.bob }),
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
];
