import { asked, invited, respond } from '../script/callee.ts';
import { ack, ackFailure, alone, establishes, expect, invite, maybe } from '../script/caller.ts';
import { body, header, LINE, LIVE, mediaLines, save, without } from '../script/check.ts';
import { applicationLine, audio, ownLine, sdp, senderLine } from '../script/sdp.ts';
import { label, type Pair, type Step } from '../script/steps.ts';
import {
  ANSWER,
  alicePast,
  bobPast,
  bootstrapped,
  calls,
  E2,
  E4,
  hangsUp,
  isCalled,
  isHungUpOn,
  OFFER,
  SECOND,
  SECOND_AT_BOB,
  SEEN_AT_ALICE,
  SEEN_AT_BOB,
  UNTOUCHED,
} from './flows.ts';

const PLAIN = { body: sdp('alice', 1, audio('alice')) } as const;
const HELLO_BOB = [body('m=audio 42000 RTP/AVP 104 105'), ...mediaLines(1)];
const HELLO_ALICE = [body('m=audio 40000 '), ...mediaLines(1), ...UNTOUCHED];
const BOB = sdp('bob', 1, audio('bob'));

const plain = {
  uac: [...calls(PLAIN, ...HELLO_BOB), ...hangsUp(2)],
  uas: [...isCalled(HELLO_ALICE, BOB), ...isHungUpOn()],
} as const;

const STANDALONE = 'standalone@ims.example.com';
const UNREADABLE = sdp('alice', 1, audio('alice'), 'this is no SDP line', ownLine('alice'));
const VIDEO = Array<string>(197).fill('m=video 0 RTP/AVP 96');
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
    uac: [invite({ body: sdp('alice', 1, ...OFFER) }), ...maybe(100, 180), expect(status, ...seen), ackFailure()],
    uas: [invited(...E2), respond(status, { headers: more }), asked('ACK')],
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
      invite({ body: multipart(sdp('alice', 1, ...OFFER)), contentType: 'multipart/mixed;boundary=imsdc-part' }),
      ...maybe(100, 180),
      establishes(200, ...E4),
      ack(),
      ...hangsUp(2),
    ],
    uas: [
      invited(
        header('Content-Type', 'multipart/mixed'),
        body('--imsdc-part.*Content-Type: application/sdp', 'm=audio 40000 ', LINE.sender, LINE.receiver),
        body('--imsdc-part.*Content-Type: application/x-imsdc', 'keep  me', '--imsdc-part--'),
        without('a=dcmap:(0|10|110) '),
      ),
      respond(180),
      respond(200, { body: sdp('bob', 1, ...ANSWER) }),
      asked('ACK'),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'sdp-unreadable',
    shows: 'SDP that cannot be parsed, with a data channel line in it: passes as it is, the call stands.',
    conformance: [['R24', 'SDP we cannot parse passes on; the call goes on without us']],
    uac: [...calls({ body: UNREADABLE }, body('m=audio 42000 ')), ...hangsUp(2)],
    uas: [
      ...isCalled([body('v=0', 'this is no SDP line', 'm=application 40010 '), ...UNTOUCHED], BOB),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'many-media-lines',
    shows: '200 m-lines, data channels among them: every line keeps its place.',
    conformance: [['RFC 3264 8', 'm-lines never move, however many there are']],
    uac: [
      ...calls(
        { body: sdp('alice', 1, audio('alice'), ownLine('alice'), senderLine('alice'), ...VIDEO) },
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
      ack(1, { body: PLAIN.body }),
      ...hangsUp(2),
    ],
    uas: [
      invited(header('X-Untouched', 'two  spaces')),
      respond(180),
      respond(200, { body: BOB }),
      asked('ACK', body('m=audio 40000 '), ...mediaLines(1)),
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
      invite(PLAIN),
      ...maybe(100),
      expect(407, header('Proxy-Authenticate', 'Digest realm=.far.')),
      ackFailure(),
      invite({
        ...PLAIN,
        cseq: 2,
        headers: ['Proxy-Authorization: Digest username="alice", realm="far", nonce="1", uri="sip:far", response="0"'],
      }),
      ...maybe(100, 180),
      establishes(200, ...HELLO_BOB),
      ack(2),
      ...hangsUp(3),
    ],
    uas: [
      {
        ...invited(...HELLO_ALICE, save('credentials', 'Proxy-Authorization', 'realm')),
        jump: { to: '1', when: 'credentials' },
      },
      respond(407, { headers: ['Proxy-Authenticate: Digest realm="far", nonce="1"'] }),
      { ...asked('ACK'), jump: { to: '2' } },
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
    name: 'max-forwards',
    shows: 'Max-Forwards 0: 483 from the AS, nothing goes on.',
    conformance: [['RFC 3261 16.3', '483 when Max-Forwards is used up']],
    uac: [invite({ ...PLAIN, maxForwards: 0 }), ...maybe(100), expect(483), ackFailure()],
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
  {
    name: 'standalone',
    shows: 'A session of data channels only, of a user who may have one: bootstrap lines of both networks.',
    conformance: [['24.186 9.3.2.2.1', 'standalone data channel session']],
    uac: [
      ...calls(
        { caller: STANDALONE, body: sdp('alice', 1, ...OFFER.slice(1)) },
        body(LINE.own, LINE.sender),
        without('m=audio'),
        ...mediaLines(2),
      ),
      ...hangsUp(2, { caller: STANDALONE }),
    ],
    uas: [
      ...isCalled(
        [body(LINE.sender, LINE.receiver), without('m=audio'), ...mediaLines(2)],
        sdp('bob', 1, ...ANSWER.slice(1)),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'standalone-application',
    shows: 'The same with an application in the first offer: bootstrap and application at once, without voice.',
    conformance: [['24.186 9.3.2.2.4', 'standalone session with bootstrap and application lines in one offer']],
    uac: [
      ...calls(
        { caller: STANDALONE, body: sdp('alice', 1, ...OFFER.slice(1), alicePast, applicationLine('alice', SECOND)) },
        body(LINE.own, LINE.sender, LIVE, LIVE, 'a=dcmap:1004 '),
        SEEN_AT_ALICE,
        without('m=audio'),
        ...mediaLines(4),
      ),
      ...hangsUp(2, { caller: STANDALONE }),
    ],
    uas: [
      ...isCalled(
        [
          body(LINE.sender, LIVE, LIVE, 'a=dcmap:1004 ', LINE.receiver),
          SEEN_AT_BOB,
          without('m=audio'),
          ...mediaLines(4),
        ],
        sdp('bob', 1, ANSWER[1]!, bobPast, applicationLine('bob', SECOND_AT_BOB), ANSWER[2]!),
      ),
      ...isHungUpOn(),
    ],
  },
  {
    name: 'standalone-refused',
    shows: 'The same of a user without that subscription: 403, nothing goes on.',
    conformance: [['24.186 9.3.2.2.1', 'standalone session without authorisation: 403']],
    uac: [invite({ body: sdp('alice', 1, ...OFFER.slice(1)) }), ...maybe(100), expect(403), ackFailure()],
  },
];
