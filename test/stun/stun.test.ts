import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  addressOctets,
  BINDING_ERROR,
  BINDING_REQUEST,
  BINDING_SUCCESS,
  decodeStun,
  encodeStun,
  integrityHolds,
} from '../../src/stun/message.ts';
import { answerStun } from '../../src/stun/responder.ts';

/** RFC 5769 2: the vectors also prove RFC 8489 14.5 and 14.7, which did not change. */
const PASSWORD = 'VOkJxbRl1RmTxUk/WvJxBt';
const SAMPLE_REQUEST = hex(`
  00 01 00 58 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae
  80 22 00 10 53 54 55 4e 20 74 65 73 74 20 63 6c 69 65 6e 74
  00 24 00 04 6e 00 01 ff 80 29 00 08 93 2f f9 b1 51 26 3b 36
  00 06 00 09 65 76 74 6a 3a 68 36 76 59 20 20 20
  00 08 00 14 9a ea a7 0c bf d8 cb 56 78 1e f2 b5 b2 d3 f2 49 c1 b5 71 a2
  80 28 00 04 e5 7a 3b cf`);
const SAMPLE_IPV4_RESPONSE = hex(`
  01 01 00 3c 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae
  80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72 20
  00 20 00 08 00 01 a1 47 e1 12 a6 43
  00 08 00 14 2b 91 f5 99 fd 9e 90 c3 8c 74 89 f9 2a f9 ba 53 f0 6b e7 d7
  80 28 00 04 c0 7d 4c 96`);
const SAMPLE_IPV6_RESPONSE = hex(`
  01 01 00 48 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae
  80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72 20
  00 20 00 14 00 02 a1 47 01 13 a9 fa a5 d3 f1 79 bc 25 f4 b5 be d2 b9 d9
  00 08 00 14 a3 82 95 4e 4b e6 7b f1 17 84 c9 7c 82 92 c2 75 bf e3 ed 41
  80 28 00 04 c8 fb 0b 4c`);

function hex(text: string): Buffer {
  return Buffer.from(text.replace(/\s+/g, ''), 'hex');
}

const SOURCE = { address: '192.0.2.1', port: 32853 };
const CREDENTIALS = { ufrag: 'evtj', password: PASSWORD };
const TRANSACTION = SAMPLE_REQUEST.subarray(8, 20);

// conformance: RFC 5769 2.1 — sample request: USERNAME, MESSAGE-INTEGRITY, FINGERPRINT
test('the sample request of RFC 5769 decodes, and its integrity holds with its password only', () => {
  const request = decodeStun(SAMPLE_REQUEST);
  assert(request);
  assert.equal(request.type, BINDING_REQUEST);
  assert.equal(request.username, 'evtj:h6vY');
  assert.equal(request.priority, 0x6e0001ff);
  assert.equal(request.useCandidate, false);
  assert.deepEqual(request.unknownAttributes, []);
  assert.equal(integrityHolds(request, PASSWORD), true);
  assert.equal(integrityHolds(request, `${PASSWORD}x`), false);
});

// conformance: RFC 5769 2.2, 2.3 — sample responses: XOR-MAPPED-ADDRESS for IPv4 and IPv6
test('the sample responses of RFC 5769 decode to their addresses', () => {
  const ipv4 = decodeStun(SAMPLE_IPV4_RESPONSE);
  assert.deepEqual(ipv4?.mappedAddress, SOURCE);
  assert.equal(integrityHolds(ipv4!, PASSWORD), true);
  const ipv6 = decodeStun(SAMPLE_IPV6_RESPONSE);
  assert.deepEqual(ipv6?.mappedAddress, { address: '2001:db8:1234:5678:11:2233:4455:6677', port: 32853 });
  assert.equal(integrityHolds(ipv6!, PASSWORD), true);
});

test('any flipped octet is noticed by FINGERPRINT', () => {
  for (let at = 0; at < SAMPLE_REQUEST.length; at++) {
    // Without its own header there is no FINGERPRINT to notice anything.
    if (at >= SAMPLE_REQUEST.length - 8 && at < SAMPLE_REQUEST.length - 4) continue;
    const damaged = Buffer.from(SAMPLE_REQUEST);
    damaged[at]! ^= 0x40;
    assert.equal(decodeStun(damaged), null, `octet ${at}`);
  }
});

test('what is encoded decodes to the same', () => {
  for (const mappedAddress of [SOURCE, { address: '2001:db8:0:0:0:0:0:1', port: 5060 }]) {
    const message = decodeStun(
      encodeStun({ type: BINDING_SUCCESS, transactionId: TRANSACTION, mappedAddress, password: 'p' }),
    );
    assert.deepEqual(message?.mappedAddress, mappedAddress);
    assert.equal(integrityHolds(message!, 'p'), true);
  }
  const error = { code: 487, reason: 'Role Conflict' };
  assert.equal(decodeStun(encodeStun({ type: BINDING_ERROR, transactionId: TRANSACTION, error }))?.errorCode, 487);
});

test('IPv6 literals give their octets', () => {
  assert.equal(addressOctets('2001:db8::1').toString('hex'), '20010db8000000000000000000000001');
  assert.equal(addressOctets('::').toString('hex'), '0'.repeat(32));
  assert.equal(addressOctets('::ffff:192.0.2.1').toString('hex'), '00000000000000000000ffffc0000201');
  assert.equal(addressOctets('fe80::1%eth0').toString('hex'), 'fe800000000000000000000000000001');
});

// conformance: RFC 8445 7.3 — an ICE-lite agent answers checks with its own password
test('a check with our credentials is answered and proves them; USE-CANDIDATE nominates', () => {
  const verdict = answerStun(SAMPLE_REQUEST, SOURCE, CREDENTIALS);
  assert.equal(verdict.authenticated, true);
  assert.equal(verdict.nominated, false);
  const reply = decodeStun(verdict.reply!);
  assert.equal(reply?.type, BINDING_SUCCESS);
  assert.deepEqual(reply?.mappedAddress, SOURCE);
  assert.deepEqual(reply?.transactionId, TRANSACTION);
  assert.equal(integrityHolds(reply!, PASSWORD), true);

  const nominating = encodeStun({
    type: BINDING_REQUEST,
    transactionId: TRANSACTION,
    username: 'evtj:h6vY',
    priority: 1,
    useCandidate: true,
    controllingTieBreaker: Buffer.alloc(8),
    password: PASSWORD,
  });
  assert.equal(answerStun(nominating, SOURCE, CREDENTIALS).nominated, true);
});

// conformance: RFC 5763 6.7.2 — STUN answered without credentials
test('a request without credentials gets its mapped address and proves nothing', () => {
  const plain = encodeStun({ type: BINDING_REQUEST, transactionId: TRANSACTION });
  for (const credentials of [CREDENTIALS, null]) {
    const verdict = answerStun(plain, SOURCE, credentials);
    assert.deepEqual(decodeStun(verdict.reply!)?.mappedAddress, SOURCE);
    assert.equal(verdict.authenticated, false);
  }
});

// conformance: RFC 8489 9.1.3 — 400 and 401 of the short-term credential mechanism
test('wrong credentials are refused with the right error', () => {
  const refusal = (content: object) => {
    const request = encodeStun({ type: BINDING_REQUEST, transactionId: TRANSACTION, ...content });
    const verdict = answerStun(request, SOURCE, CREDENTIALS);
    assert.equal(verdict.authenticated, false);
    return decodeStun(verdict.reply!)?.errorCode;
  };
  assert.equal(refusal({ username: 'evtj:x' }), 400);
  assert.equal(refusal({ password: PASSWORD }), 400);
  assert.equal(refusal({ username: 'other:x', password: PASSWORD }), 401);
  assert.equal(refusal({ username: 'evtjx:x', password: PASSWORD }), 401);
  assert.equal(refusal({ username: 'evtj:x', password: 'wrong' }), 401);
});

// conformance: RFC 8489 6.3.1 — 420 with UNKNOWN-ATTRIBUTES
test('an unknown comprehension-required attribute is answered by 420', () => {
  const bare = encodeStun({ type: BINDING_REQUEST, transactionId: TRANSACTION });
  const request = Buffer.concat([bare.subarray(0, 20), hex('00 7f 00 00')]);
  request.writeUInt16BE(4, 2);
  assert.equal(decodeStun(answerStun(request, SOURCE, null).reply!)?.errorCode, 420);
});

test('responses, indications and garbage are met with silence', () => {
  assert.equal(answerStun(SAMPLE_IPV4_RESPONSE, SOURCE, CREDENTIALS).reply, null);
  const indication = encodeStun({ type: 0x0011, transactionId: TRANSACTION });
  assert.equal(answerStun(indication, SOURCE, CREDENTIALS).reply, null);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1500 }), (octets) => {
      assert.equal(answerStun(Buffer.from(octets), SOURCE, CREDENTIALS).authenticated, false);
    }),
  );
});

test('damaged and cut messages never throw and never authenticate', () => {
  const unprotected = SAMPLE_REQUEST.subarray(0, SAMPLE_REQUEST.length - 8);
  fc.assert(
    fc.property(fc.nat(unprotected.length - 1), fc.nat(255), fc.nat(unprotected.length), (at, octet, cut) => {
      const damaged = Buffer.from(unprotected.subarray(0, cut));
      if (at < damaged.length) damaged[at] = octet;
      if (damaged.length >= 20) damaged.writeUInt16BE(damaged.length - 20, 2);
      const message = decodeStun(damaged);
      const same = damaged.length === unprotected.length && damaged.subarray(4).equals(unprotected.subarray(4));
      if (message && !same) assert.equal(integrityHolds(message, PASSWORD), false);
    }),
    { numRuns: 2000 },
  );
});
