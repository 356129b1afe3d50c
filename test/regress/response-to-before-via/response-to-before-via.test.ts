import assert from 'node:assert/strict';
import { test } from 'node:test';
import { glance } from '../../../src/dispatch/glance.ts';

/**
 * Headers come in any order. A response that says To before Via, in a call that passes us twice, went to the worker of the
 * other session, which knows nothing of it.
 */
test('a response goes by its Via, wherever its To stands', () => {
  const text = [
    'SIP/2.0 200 OK',
    'To: <sip:b@x>;tag=core.1.1.7-s0',
    'Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKcore.0.1.3-1',
    'From: <sip:a@x>;tag=core.0.1.3-r0',
    'Call-ID: core.0.1.3',
    'CSeq: 1 INVITE',
    '\r\n',
  ].join('\r\n');
  assert.equal(glance(text, 'core.').worker, 0);
});
