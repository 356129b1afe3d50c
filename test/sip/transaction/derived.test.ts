import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildResponse, MAX_HEADERS, MAX_LINE_BYTES, parseMessage } from '../../../src/sip/message/index.ts';
import { ackOf, cancelOf } from '../../../src/sip/transaction/derived.ts';
import { flood } from '../hostile.ts';
import { parsed, request } from '../support.ts';

// A B2BUA adds to what it passes on. A peer that sends messages just below our limits must not find us unable to
// read our own INVITE again: that threw, in the middle of a turn.
for (const [what, headers] of [
  ['a Route line above the limit of a line', `Route: <sip:a@h;lr>${flood(', <sip:a@h;lr>', MAX_LINE_BYTES)}\r\n`],
  ['more headers than we take', flood('Route: <sip:a@h;lr>\r\n', 25 * (MAX_HEADERS + 1))],
  ['a length above 64 KiB', flood(`X: ${'y'.repeat(10_000)}\r\n`, 80_000)],
] as const) {
  test(`an INVITE of ours with ${what} is cancelled and acknowledged all the same`, () => {
    const invite = request({ headers: `${headers}Contact: <sip:a@h>\r\n` });
    assert.ok('error' in parseMessage(invite), 'from others it would be refused');
    const routes = headers.startsWith('Route') ? headers : '';
    const cancel = cancelOf(invite);
    assert.match(
      cancel,
      /^CANCEL sip:bob@example\.com SIP\/2\.0\r\nVia: SIP\/2\.0\/UDP 192\.0\.2\.1:5060;branch=z9hG4bKtest\r\n/,
    );
    assert.ok(cancel.includes(`${routes}Max-Forwards`));
    const ack = ackOf(invite, parsed(buildResponse(parsed(request()), 486, { toTag: '9' })));
    assert.match(
      ack,
      /\r\nTo: <sip:bob@example\.com>;tag=9\r\nCall-ID: call-1\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n$/,
    );
  });
}
