import { asked, invited, respond } from '../script/callee.ts';
import { ack, alone, establishes, expect, invite, maybe } from '../script/caller.ts';
import { body, header, LINE, mediaLines, save, without } from '../script/check.ts';
import { audio, ownLine, sdp } from '../script/sdp.ts';
import type { Pair, Step } from '../script/steps.ts';
import {
  bootstrapped,
  calls,
  callsInVain,
  hangsUp,
  isCalled,
  isCalledAgain,
  isCalledInVain,
  isHungUpOn,
} from './flows.ts';
import { ALICE, ANSWER, BOB, E2, E4, OFFER, PLAIN, PLAIN_AT_BOB, UNTOUCHED } from './media.ts';

const HELLO_BOB = [body('m=audio 42000 RTP/AVP 104 105'), ...mediaLines(1)];
const HELLO_ALICE = [...PLAIN_AT_BOB, ...UNTOUCHED];

const plain = {
  uac: [...calls({ body: PLAIN.alice }, ...HELLO_BOB), ...hangsUp(2)],
  uas: [...isCalled(HELLO_ALICE, PLAIN.bob), ...isHungUpOn()],
} as const;

const UNREADABLE = sdp('alice', 1, audio('alice'), 'this is no SDP line', ownLine('alice'));
const VIDEO = Array<string>(197).fill('m=video 0 RTP/AVP 96');
const CREDENTIALS = 'Proxy-Authorization: Digest username="alice", realm="far", nonce="1", uri="sip:far", response="0"';
const MANY = body(...Array<string>(200).fill('m=[a-z]+ '));

function multipart(text: string): string {
  return [
    '--imsdc-part',
    'Content-Type: application/sdp',
    '',
    text,
    '--imsdc-part',
    'Content-Type: application/x-imsdc',
    '',
    'keep  me',
    '--imsdc-part--',
  ].join('\n');
}

/** The callee refuses; the caller learns it as it is. */
function refusal(status: 486 | 603 | 302, ...more: readonly string[]): { uac: readonly Step[]; uas: readonly Step[] } {
  const seen = more.map((line) =>
    header(line.split(':', 1)[0]!, line.slice(line.indexOf(':') + 2).replace(/[<>"?+*();]/g, '.')),
  );
  return {
    uac: callsInVain({ body: ALICE }, status, ...seen),
    uas: isCalledInVain(E2, respond(status, { headers: more })),
  };
}

export const PLAIN_CALLS: readonly Pair[] = [
  {
    name: 'audio',
    shows: 'A plain call: nothing of it is our business, so the odd attribute and header pass byte for byte.',
    conformance: [['R24', 'a call without data channels passes as it is']],
    ...plain,
  },
  {
    name: 'audio-tcp',
    shows: 'The same over TCP, on one connection each.',
    conformance: [['RFC 3261 18.3', 'messages framed by Content-Length on a connection']],
    ...plain,
    run: { transport: 'tcp' },
  },
  {
    name: 'audio-ipv6',
    shows: 'The same over IPv6.',
    conformance: [['RFC 5118', 'IPv6 references in Via, Contact, Route and SDP']],
    ...plain,
    run: { ipv6: true },
  },
  {
    name: 'bootstrap-tcp',
    shows: 'Bootstrap channels with signalling over TCP.',
    conformance: [['RFC 3261 18.1.1', 'a message above 1300 bytes on a connection']],
    uac: [...bootstrapped.uac, ...hangsUp(2)],
    uas: [...bootstrapped.uas, ...isHungUpOn()],
    run: { transport: 'tcp' },
  },
  {
    name: 'multipart',
    shows: 'SDP beside another part in multipart/mixed: edited in place, the other part and the boundary stay.',
    conformance: [['R24', 'SDP inside multipart/mixed is edited in place']],
    uac: [
      ...calls({ body: multipart(ALICE), contentType: 'multipart/mixed;boundary=imsdc-part' }, ...E4),
      ...hangsUp(2),
    ],
    uas: [
      ...isCalled(
        [
          header('Content-Type', 'multipart/mixed'),
          body('--imsdc-part.*Content-Type: application/sdp', 'm=audio 40000 ', LINE.sender, LINE.receiver),
          body('--imsdc-part.*Content-Type: application/x-imsdc', 'keep  me', '--imsdc-part--'),
          without('a=dcmap:(0|10|110) '),
        ],
        BOB,
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'sdp-unreadable',
    shows: 'SDP that cannot be parsed, with a data channel line in it: passes as it is, the call stands.',
    conformance: [['R24', 'SDP we cannot parse passes on; the call goes on without us']],
    uac: [...calls({ body: UNREADABLE }, body('m=audio 42000 ')), ...hangsUp(2)],
    uas: [
      ...isCalled([body('v=0', 'this is no SDP line', 'm=application 40010 '), ...UNTOUCHED], PLAIN.bob),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'many-media-lines',
    shows: '200 m-lines, data channels among them: every line keeps its place.',
    conformance: [['RFC 3264 8', 'm-lines never move, however many there are']],
    uac: [
      ...calls(
        { body: sdp('alice', 1, ...OFFER, ...VIDEO) },
        body('m=audio 42000 ', LINE.own, LINE.sender, 'm=video 0 '),
        MANY,
      ),
      ...hangsUp(2),
    ],
    uas: [
      ...isCalled(
        [body('m=audio 40000 ', LINE.sender, 'm=video 0 ', LINE.receiver), MANY],
        // Sender first, receiver at the end: a line that we add goes behind the caller's.
        sdp('bob', 1, audio('bob'), ANSWER[1]!, ...VIDEO, ANSWER[2]!),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'late-offer',
    shows: 'INVITE without SDP: the offer comes in the 2xx, the answer in the ACK; both pass.',
    conformance: [['RFC 3261 13.2.1', 'offer in the 2xx, answer in the ACK']],
    uac: [
      invite({ body: '' }),
      ...maybe(100, 180),
      establishes(200, ...HELLO_BOB),
      ack(1, { body: PLAIN.alice }),
      ...hangsUp(2),
    ],
    uas: [
      invited(header('X-Untouched', 'two  spaces')),
      respond(180),
      respond(200, { body: PLAIN.bob }),
      asked('ACK', ...PLAIN_AT_BOB),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'busy',
    shows: 'The callee is busy: 486 comes back, the MF gives everything back.',
    conformance: [['RFC 3261 16.7', 'a failure comes back with its reason']],
    ...refusal(486, 'Reason: Q.850;cause=17'),
  },
  {
    name: 'decline',
    shows: 'The callee declines: 603.',
    conformance: [['RFC 3261 21.6.2', '603 passes']],
    ...refusal(603),
  },
  {
    name: 'redirect',
    shows: 'The callee redirects: 302 with its Contact goes to the caller, who may call there.',
    conformance: [['RFC 3261 21.3.3', '302 passes with the Contact of the redirecting side']],
    ...refusal(302, 'Contact: <sip:voicemail@ims.example.com>;q=0.7'),
  },
  {
    name: 'challenge',
    shows: 'A proxy beyond asks for credentials: 407 passes, the second INVITE carries them through.',
    conformance: [['RFC 3261 22.3', '407 and credentials pass the B2BUA']],
    uac: [
      ...callsInVain({ body: PLAIN.alice }, 407, header('Proxy-Authenticate', 'Digest realm=.far.')),
      ...calls({ body: PLAIN.alice, cseq: 2, headers: [CREDENTIALS] }, ...HELLO_BOB),
      ...hangsUp(3),
    ],
    uas: isCalledAgain(
      [...HELLO_ALICE, save('credentials', 'Proxy-Authorization', 'realm')],
      'credentials',
      respond(407, { headers: ['Proxy-Authenticate: Digest realm="far", nonce="1"'] }),
      respond(200, { body: PLAIN.bob }),
    ),
    run: { uasCalls: 2 },
  },
  {
    name: 'max-forwards',
    shows: 'Max-Forwards 0: 483 from the AS, nothing goes on.',
    conformance: [['RFC 3261 16.3', '483 when Max-Forwards is used up']],
    uac: callsInVain({ body: PLAIN.alice, maxForwards: 0 }, 483),
  },
  {
    name: 'options',
    shows: 'OPTIONS to the AS itself, as S-CSCFs and monitors send it.',
    conformance: [['RFC 3261 11', 'OPTIONS outside a dialog']],
    uac: [
      alone('OPTIONS', 'as@[remote_ip]'),
      expect(200, header('Allow', 'INVITE'), header('Accept', 'application/sdp')),
    ],
  },
  {
    name: 'register',
    shows: 'Third-party REGISTER and its end.',
    conformance: [['24.229 5.4.1.7', 'third-party REGISTER is answered with 200']],
    uac: [
      alone('REGISTER', '[field0]@[field2]', { headers: ['Expires: 600000'] }),
      expect(200, header('Expires', '600000')),
    ],
  },
];
