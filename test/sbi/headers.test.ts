import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatMaxResponseTime,
  formatRequestInfo,
  formatSenderTimestamp,
  parseIdempotencyKey,
  parseMaxResponseTime,
  parseMessagePriority,
} from '../../src/sbi/headers.ts';

// conformance: 29.500 5.2.3.2 — 3gpp-Sbi-Sender-Timestamp and 3gpp-Sbi-Max-Rsp-Time
test('Sender-Timestamp and Max-Rsp-Time', () => {
  assert.equal(formatSenderTimestamp(Date.UTC(2019, 7, 4, 8, 49, 37, 45)), 'Sun, 04 Aug 2019 08:49:37.045 GMT');
  assert.equal(formatMaxResponseTime(0.2), '1');
  assert.equal(formatMaxResponseTime(1_234.9), '1234');
  assert.equal(formatMaxResponseTime(1e9), '99999');
  assert.equal(parseMaxResponseTime('1500'), 1_500);
  for (const bad of [undefined, '', '-1', '1.5', '123456', 'soon']) assert.equal(parseMaxResponseTime(bad), undefined);
});

test('Request-Info: the idempotency key among other parameters', () => {
  assert.equal(parseIdempotencyKey(formatRequestInfo('c1-2-3')), 'c1-2-3');
  assert.equal(parseIdempotencyKey('retrans=true; idempotency-key=abc ;redirect=false'), 'abc');
  assert.equal(parseIdempotencyKey(['idempotency-key="a b"', 'x']), 'a b');
  for (const bad of [undefined, '', 'retrans=true', 'idempotency-key=""', `idempotency-key=${'x'.repeat(300)}`]) {
    assert.equal(parseIdempotencyKey(bad), undefined);
  }
});

test('Message-Priority tolerates nonsense', () => {
  assert.equal(parseMessagePriority('0'), 0);
  assert.equal(parseMessagePriority('31'), 31);
  for (const bad of [undefined, '32', '-1', 'high', '007']) assert.equal(parseMessagePriority(bad), 24);
});
