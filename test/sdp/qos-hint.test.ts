import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseQosHints } from '../../src/sdp/qos-hint.ts';

// conformance: 26.114 6.2.7.4.2 — properties, values and their splits
test('properties with values and splits', () => {
  const notes: string[] = [];
  assert.deepEqual(parseQosHints('loss=0.01;latency=100/local:30/x:40;eager', notes), [
    { property: 'loss', value: '0.01', splits: [] },
    {
      property: 'latency',
      value: '100',
      splits: [
        { method: 'local', value: '30' },
        { method: 'x', value: '40' },
      ],
    },
    { property: 'eager', splits: [] },
  ]);
  assert.deepEqual(notes, []);
});

// conformance: 26.114 6.2.7.4.4 — a malformed hint is dropped alone
test('malformed and repeated hints are dropped alone', () => {
  const notes: string[] = [];
  const text = 'loss=;latency=100;latency=50;=3;a=1/local;b=1/x:2:3;;c=7';
  assert.deepEqual(
    parseQosHints(text, notes).map((h) => `${h.property}=${h.value}`),
    ['latency=100', 'c=7'],
  );
  assert.equal(notes.length, 6);
});
