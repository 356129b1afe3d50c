import { request as ask, asked, invited, keep, ok, respond } from '../script/callee.ts';
import { expect, reply, request } from '../script/caller.ts';
import { body, header, save } from '../script/check.ts';
import { label, type Pair } from '../script/steps.ts';
import { bootstrapped, calls, callsInVain, hangsUp, isCalled, isHungUpOn } from './flows.ts';
import { BOB, E2, PLAIN } from './media.ts';

/** Call transfer: REFER and INVITE with Replaces name a dialog, and each of our calls is two of them (R21). */

/** Identifiers that the AS minted: SIPp's own Call-IDs look like 1-4711@127.0.0.1, and its tags are short. */
const OURS = '[a-z0-9]+[.][0-9]+[.][a-z0-9]+[.][a-z0-9-]+';
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
      ...isCalled([...E2, ...keep(), save('callerTag', 'From', OURS)], BOB),
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
      ...calls({ body: PLAIN.alice }, body('m=audio 42000 '), save('peerTag', 'To', 'tag=.+')),
      ...callsInVain(
        {
          body: PLAIN.alice,
          callId: '2///[call_id]',
          fromTag: 'second',
          cseq: 10,
          headers: ['Replaces: [call_id];to-[$peerTag];from-tag=a[call_number]'],
        },
        486,
      ),
      ...hangsUp(2, { toTag: '[$peerTag]' }),
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
