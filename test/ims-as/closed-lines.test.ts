import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualTimers } from '../../src/base/timers.ts';
import { ClosedLines } from '../../src/ims-as/closed-lines.ts';

const line = (n: number) => ({ contextId: `ctx${n}`, mediaId: 'm3' });

test('a DC AS that closes all its lines is followed at a pace, in order, and none is lost', () => {
  const timers = new VirtualTimers();
  const taken: string[] = [];
  const closed = new ClosedLines(timers, (lines) => taken.push(...lines.map(({ contextId }) => contextId)));
  for (let n = 0; n < 250; n++) closed.add(line(n));
  assert.equal(taken.length, 0);
  timers.advance(1_000);
  assert.equal(taken.length, 100);
  timers.advance(10_000);
  assert.deepEqual(
    taken,
    Array.from({ length: 250 }, (_, n) => `ctx${n}`),
  );
  closed.add(line(250));
  timers.advance(100);
  assert.equal(taken.length, 251);
  assert.equal(closed.dropped, 0);
});

test('what waits is bounded, and what is left out is counted', () => {
  const closed = new ClosedLines(new VirtualTimers(), () => assert.fail('no time has passed'));
  for (let n = 0; n < 10_005; n++) closed.add(line(n));
  assert.equal(closed.dropped, 5);
});
