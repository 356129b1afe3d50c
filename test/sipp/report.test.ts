import assert from 'node:assert/strict';
import { test } from 'node:test';
import { junit, table } from '../../sipp/report.ts';
import type { EndResult, PairResult } from '../../sipp/sipp.ts';

const end: EndResult = { exitCode: 0, successful: 3, failed: 0, retransmissions: 0, errors: '' };
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
