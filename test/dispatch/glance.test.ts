import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { IdMint, sessionIdOf, workerOfSessionId } from '../../src/base/ids.ts';
import { glance } from '../../src/dispatch/glance.ts';
import { parseMessage } from '../../src/sip/message/index.ts';

const TOKEN = 'core-1.';
const id = (worker: number) => new IdMint({ instance: 'core-1', worker, epoch: 1_795_000_000 }).next();

function request(lines: readonly string[], method = 'BYE'): string {
  return [`${method} sip:a@192.0.2.1 SIP/2.0`, ...lines, '', ''].join('\r\n');
}
const VIA = 'Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx';
const FROM = 'From: <sip:a@x>;tag=1';

describe('what a dispatcher reads of a message', () => {
  test('a request inside a dialog is found by its To tag, however that is written', () => {
    for (const to of [
      `To: <sip:b@x>;tag=${id(3)}-s0`,
      `t:<sip:b@x> ; TAG = ${id(3)}-r12`,
      `To: "a >;tag=${id(1)}" <sip:b@x;tag=${id(1)}>;tag=${id(3)}-s0`,
      `TO : sip:b@x;tag=${id(3)}-s0`,
      `To: <sip:b@x>\r\n ;tag=${id(3)}-s0`,
    ])
      assert.equal(glance(request([VIA, FROM, to, 'Call-ID: c']), TOKEN).worker, 3, to);
  });

  test('a request outside dialogs goes by its Call-ID, in both forms', () => {
    for (const line of ['Call-ID: abc@x', 'i:  abc@x ', 'CALL-ID:\r\n abc@x']) {
      const found = glance(request([VIA, FROM, 'To: <sip:b@x>', line], 'INVITE'), TOKEN);
      assert.deepEqual(found, { method: 'INVITE', worker: -1, callId: 'abc@x' });
    }
  });

  test('a spiral carries our Call-ID and From tag, and is a call of its own (R22)', () => {
    const spiral = request([VIA, `From: <sip:a@x>;tag=${id(2)}-r0`, 'To: <sip:b@x>', `Call-ID: ${id(2)}`], 'INVITE');
    assert.equal(glance(spiral, TOKEN).worker, -1);
  });

  // conformance: RFC 3891 3 — an INVITE that replaces a dialog comes to the worker that has that dialog
  test('a request that names a dialog of ours goes there; of two workers the addressed one counts', () => {
    const both = `cid;from-tag=${id(1)}-r0;to-tag=${id(2)}-s0`;
    for (const [line, worker] of [
      [`Replaces: cid;to-tag=${id(4)}-s0;from-tag=x`, 4],
      [`Join: cid;to-tag=x;from-tag=${id(4)}-r0`, 4],
      [`Target-Dialog: cid;local-tag=${id(5)}-s0;remote-tag=x`, 5],
      [`Replaces: ${both}`, 2],
      ['Replaces: cid;to-tag=x;from-tag=y', -1],
    ] as const)
      assert.equal(glance(request([VIA, FROM, 'To: <sip:b@x>', line], 'INVITE'), TOKEN).worker, worker, line);
  });

  test('a response is found by the branch of its topmost Via only', () => {
    const response = (via: string) => `SIP/2.0 200 OK\r\n${via}\r\n${FROM}\r\nTo: <sip:b@x>;tag=${id(1)}-s0\r\n\r\n`;
    const ours = `SIP/2.0/UDP 192.0.2.1;rport=5060; branch=z9hG4bK${id(6)}-1`;
    assert.equal(glance(response(`Via: ${ours}`), TOKEN).worker, 6);
    assert.equal(glance(response(`v: ${ours},SIP/2.0/UDP x;branch=z9hG4bK${id(2)}-1`), TOKEN).worker, 6);
    assert.equal(glance(response(`Via: SIP/2.0/UDP x;branch=z9hG4bKy\r\nVia: ${ours}`), TOKEN).worker, -1);
  });

  test('identifiers of another instance are none of ours', () => {
    const other = new IdMint({ instance: 'core-12', worker: 3, epoch: 1 }).next();
    assert.equal(glance(request([VIA, FROM, `To: <sip:b@x>;tag=${other}-s0`]), TOKEN).worker, -1);
  });

  test('it reads what the parser reads, and noise does no harm', () => {
    const piece = fc.constantFrom(
      ...[
        'To',
        't',
        'Via',
        'Call-ID',
        'Replaces',
        'From',
        ':',
        ': ',
        '\r\n',
        '\r\n ',
        ';tag=',
        '<sip:b@x>',
        '"',
        '>',
        ' ',
      ],
      ...[`${id(3)}-s0`, 'SIP/2.0 200 OK', 'INVITE sip:x SIP/2.0', 'z9hG4bK', ';branch=', '\n', '\r', '\u00ff'],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        const text = pieces.join('');
        const found = glance(text, TOKEN);
        assert.ok(found.worker >= -1 && found.worker < 36 * 36);
        const parsed = parseMessage(text);
        if (!('message' in parsed)) return;
        const { message } = parsed;
        if (message.isRequest && message.toTag.startsWith(TOKEN)) assert.equal(found.worker, 3);
        else if (message.isRequest && found.worker < 0) assert.equal(found.callId, message.callId);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('session ids', () => {
  test('they are UUIDs of version 4 that tell the worker to us', () => {
    for (let worker = 0; worker < 64; worker++) {
      const hex = Buffer.from(Array.from({ length: 16 }, (_, at) => (worker * 31 + at * 57) & 0xff)).toString('hex');
      const sessionId = sessionIdOf(worker, hex);
      assert.match(sessionId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      assert.equal(workerOfSessionId(sessionId), worker);
    }
  });

  test('an id of somebody else is no error', () => {
    assert.ok(workerOfSessionId('another') >= 0);
    assert.ok(workerOfSessionId('') >= 0);
  });
});
