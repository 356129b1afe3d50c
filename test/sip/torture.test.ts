import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkRequest, parseMessage, type RequestPolicy } from '../../src/sip/message/index.ts';

const DIRECTORY = join(import.meta.dirname, '../../../shared/sip-torture/rfc4475');

/** A B2BUA that serves sip, sips and tel, and knows 100rel. */
const POLICY: RequestPolicy = {
  schemes: new Set(['sip', 'sips', 'tel']),
  supported: new Set(['100rel']),
  proxySupported: new Set(),
  forwards: true,
};

/** `ok`: processed. A number: the status sent back. `drop`: cannot or must not be answered. And why. */
type Expected = readonly ['ok' | 'drop' | number, string];

const EXPECTED: Readonly<Record<string, Expected>> = {
  // RFC 4475 3.1.1: valid, however strange
  wsinv: ['ok', '3.1.1.1 odd white space, folds and compact forms'],
  intmeth: ['ok', '3.1.1.2 every token character in the method, quotes in Call-ID'],
  esc01: ['ok', '3.1.1.3 escapes in user and header parameters'],
  escnull: ['ok', '3.1.1.4 %00 in a user'],
  esc02: ['ok', '3.1.1.5 a percent sign in a method is a token character, no escape'],
  lwsdisp: ['ok', '3.1.1.6 no space between display name and <'],
  longreq: ['ok', '3.1.1.7 long values everywhere'],
  dblreq: ['ok', '3.1.1.8 what follows the first message in a datagram is ignored'],
  semiuri: ['ok', '3.1.1.9 a semicolon in the user part'],
  transports: ['ok', '3.1.1.10 unknown transports in Via'],
  mpart01: ['ok', '3.1.1.11 multipart with a binary part'],
  unreason: ['ok', '3.1.1.12 non-ASCII reason phrase'],
  noreason: ['ok', '3.1.1.13 empty reason phrase'],
  // 3.1.2: invalid
  badinv01: [400, '3.1.2.1 empty parameters in Via and Contact'],
  clerr: [400, '3.1.2.2 Content-Length above the body'],
  ncl: [400, '3.1.2.3 negative Content-Length'],
  scalar02: [400, '3.1.2.4 CSeq above 2^31'],
  scalarlg: ['drop', '3.1.2.5 the same in a response'],
  quotbal: [400, '3.1.2.6 unbalanced quote in To'],
  ltgtruri: [400, '3.1.2.7 Request-URI in angle brackets'],
  lwsruri: [400, '3.1.2.8 white space in the Request-URI'],
  lwsstart: [400, '3.1.2.9 several spaces in the start line'],
  trws: [400, '3.1.2.10 white space at the end of the start line'],
  escruri: [400, '3.1.2.11 headers in the Request-URI'],
  baddate: ['ok', '3.1.2.12 a Date in another time zone: not read by us, so it harms nothing'],
  regbadct: [400, '3.1.2.13 a Contact with ? outside angle brackets'],
  badaspec: [400, '3.1.2.14 white space inside the angle brackets of To'],
  baddn: ['ok', '3.1.2.15 unquoted punctuation in a display name: understood all the same'],
  badvers: [505, '3.1.2.16 SIP/7.0'],
  mismatch01: [400, '3.1.2.17 method and CSeq differ'],
  mismatch02: [400, '3.1.2.18 the same with an unknown method'],
  bigcode: ['drop', '3.1.2.19 status 4294967301'],
  // 3.2: transaction layer
  badbranch: ['ok', '3.2.1 a branch of the cookie alone: matched as RFC 2543 does'],
  // 3.3: application layer
  insuf: [400, '3.3.1 no From, To and Call-ID; Via and CSeq are enough to answer'],
  unkscm: [416, '3.3.2 unknown scheme in the Request-URI'],
  novelsc: [416, '3.3.3 known but unsupported scheme in the Request-URI'],
  unksm2: ['ok', '3.3.4 unknown schemes in From and To'],
  bext01: [420, '3.3.5 unknown option tags in Require and Proxy-Require'],
  invut: ['ok', '3.3.6 unknown content type: judged by whoever reads the body'],
  regaut01: ['ok', '3.3.7 unknown authentication scheme: passed on'],
  multi01: [400, '3.3.8 single-value headers given twice'],
  mcl01: [400, '3.3.9 two Content-Length'],
  bcast: [
    'ok',
    '3.3.10 a broadcast address in the Via of a response: dropped by the endpoint, whose address it is not',
  ],
  zeromf: [483, '3.3.11 Max-Forwards 0'],
  cparam01: ['ok', '3.3.12 unknown Contact parameter'],
  cparam02: ['ok', '3.3.13 unknown URI parameter'],
  regescrt: ['ok', '3.3.14 escaped Route header in a Contact URI'],
  sdp01: ['ok', '3.3.15 Accept without SDP: judged by whoever answers'],
  // 3.4: backward compatibility
  inv2543: ['ok', '3.4.1 an INVITE as RFC 2543 has it, without Max-Forwards and branch'],
};

function outcome(bytes: Uint8Array): 'ok' | 'drop' | number {
  const result = parseMessage(bytes);
  if ('error' in result) return result.error.replyable === undefined ? 'drop' : result.error.status;
  if (!result.message.isRequest) return 'ok';
  return checkRequest(result.message, POLICY)?.status ?? 'ok';
}

const present = existsSync(DIRECTORY);

test('every message of RFC 4475 has an expectation', () => {
  assert.equal(Object.keys(EXPECTED).length, 49);
});

for (const [name, [expected, why]] of Object.entries(EXPECTED)) {
  // conformance: RFC 4475 3 — the 49 torture messages
  test(`RFC 4475 ${why} (${name})`, { skip: present ? false : 'torture messages are not here' }, () => {
    assert.equal(outcome(readFileSync(join(DIRECTORY, `${name}.dat`))), expected);
  });
}

// conformance: RFC 4475 3.1.1.1 — values are read through folds and compact forms
test('what wsinv says is understood', { skip: present ? false : 'torture messages are not here' }, () => {
  const result = parseMessage(readFileSync(join(DIRECTORY, 'wsinv.dat')));
  assert.ok('message' in result);
  const { message } = result;
  assert.deepEqual(
    [message.method, message.cseq, message.callId, message.fromTag, message.toTag],
    ['INVITE', 9, 'wsinv.ndaksdj@192.0.2.1', '98asjd8', '1918181833n'],
  );
  assert.deepEqual([message.via.transport, message.via.host, message.via.branch], ['UDP', '192.0.2.2', '390skdjuw']);
  assert.equal(message.list('via').length, 3);
  assert.equal(message.first('subject'), '');
  assert.equal(message.first('newfangledheader'), 'newfangled value continued newfangled value');
  assert.equal(message.list('route').length, 1);
  assert.match(message.body, /^v=0\r\n/);
});
