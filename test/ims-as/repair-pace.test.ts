import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RepairPace } from '../../src/ims-as/repair-pace.ts';

const slots = (pace: RepairPace, nowMs: number, count: number) =>
  Array.from({ length: count }, () => pace.slotMs(nowMs, false) - nowMs);

// conformance: R25 — repairs are paced, priority calls first
test('a burst at once, then one place after the other', () => {
  const pace = new RepairPace({ perSecond: 10, burst: 3 });
  assert.deepEqual(slots(pace, 1_000_000, 6), [0, 0, 0, 100, 200, 300]);
  assert.equal(pace.slotMs(1_000_000, true), 1_000_000, 'a priority call does not wait');
  assert.deepEqual(slots(pace, 1_000_050, 1), [350], 'and takes no place of others');
});

test('what was not used for a while is a burst again, and no more than that', () => {
  const pace = new RepairPace({ perSecond: 10, burst: 2 });
  slots(pace, 0, 20);
  assert.deepEqual(slots(pace, 60_000, 4), [0, 0, 100, 200]);
});

test('fractions of a millisecond do not add up to a faster pace', () => {
  const pace = new RepairPace({ perSecond: 300, burst: 1 });
  assert.equal(slots(pace, 0, 301).at(-1), 1_000);
});
