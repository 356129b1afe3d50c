import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failures } from '../../sipp/failures.ts';
import { junit, table } from '../../sipp/report.ts';
import type { EndResult, PairResult } from '../../sipp/sipp.ts';

const end: EndResult = { exitCode: 0, successful: 3, failed: 0, retransmissions: 0, failures: [], errors: '' };
const good: PairResult = {
  name: 'audio',
  passed: true,
  completed: true,
  problems: [],
  calls: 3,
  seconds: 1.25,
  uac: end,
  uas: { ...end, retransmissions: 2 },
};
const bad: PairResult = {
  ...good,
  name: 'cancel-after-183',
  passed: false,
  completed: false,
  problems: ['UAC: 0 of 3 calls completed', 'with regexp \'<m=audio>\' & "\x07"'],
  uac: { ...end, successful: 0, failed: 3 },
};

test('the table has a line per pair, the sum, and what went wrong', () => {
  assert.deepEqual(table([good, bad]).split('\n'), [
    'script            result  calls        retransmissions  seconds',
    'audio             pass    3/3          2                1.3',
    'cancel-after-183  FAIL    0/3          2                1.3',
    '1 of 2 pairs pass, 3 calls',
    '',
    'cancel-after-183: UAC: 0 of 3 calls completed',
    'with regexp \'<m=audio>\' & "\x07"',
    '',
  ]);
});

test('JUnit is well-formed, whatever SIPp wrote', () => {
  const xml = junit([good, bad]);
  assert.match(xml, /<testsuite name="imsdc-sipp" tests="2" failures="1">/);
  assert.match(xml, /<testcase classname="sipp" name="audio" time="1.250" \/>/);
  assert.match(xml, /with regexp '&lt;m=audio&gt;' &amp; &quot;\?&quot;<\/failure>/);
});

test("SIPp's error file becomes a line per kind: what was expected, what came, how often", () => {
  const at = (second: number) => `2026-01-02\t03:04:0${second}.123456\t1767323045.123456: `;
  const text = [
    'The following events occurred:\n',
    `${at(1)}Aborting call on unexpected message for Call-Id '1-7@127.0.0.1': while expecting '180' (index 2), received 'SIP/2.0 503 Service Unavailable\r\nVia: SIP/2.0/UDP a\r\n\r\n'`,
    `${at(2)}Dead call 1-7@127.0.0.1 (aborted at index 2), received 'SIP/2.0 100 Trying\r\n\r\n'`,
    `${at(3)}Aborting call on unexpected message for Call-Id '2-7@127.0.0.1': while expecting '180' (index 2), received 'SIP/2.0 503 Service Unavailable\r\n\r\n'`,
    `${at(4)}Failed regexp match: looking in 'v=0\nm=audio 0\n', with regexp 'm=audio [1-9]'`,
    `${at(5)}Overload warning: the minor watchdog timer 500ms has been tripped (528), 119 trips remaining.`,
    `${at(6)}Aborting call on UDP retransmission timeout for Call-ID '13-7@127.0.0.1'`,
  ].join('');
  assert.deepEqual(failures(text), [
    '2 x expected 180 (step 2), got SIP/2.0 503 Service Unavailable; first at 03:04:01.123',
    '1 x a message without what had to be in it, or with what must not: m=audio [1-9]; first at 03:04:04.123',
    '1 x Overload warning: the minor watchdog timer 500ms has been tripped; first at 03:04:05.123',
    '1 x Aborting call on UDP retransmission timeout; first at 03:04:06.123',
  ]);
  assert.deepEqual(failures(''), []);
});

test('of many kinds of failure only the first are named', () => {
  const entry = (step: number) =>
    `2026-01-02\t03:04:05.123456\t1767323045.123456: Aborting: while expecting '200' (index ${step}), received 'BYE sip:a SIP/2.0\n'`;
  const lines = failures(Array.from({ length: 30 }, (_, step) => entry(step)).join(''));
  assert.equal(lines.length, 9);
  assert.equal(lines.at(-1), 'and 22 other kinds');
});
