import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RealTimers, sharedDueMs, VirtualTimers } from '../../src/base/timers.ts';

test('timers run at their time, in order of due time and then of setting', () => {
  const timers = new VirtualTimers(0);
  const ran: string[] = [];
  timers.after(500, () => ran.push(`a ${timers.nowMs()}`));
  timers.after(100, () => {
    ran.push(`b ${timers.nowMs()}`);
    timers.after(400, () => ran.push(`c ${timers.nowMs()}`));
  });
  const never = timers.after(300, () => ran.push('never'));
  timers.advance(200);
  never.cancel();
  never.cancel();
  assert.equal(timers.size, 2);
  timers.advance(1000);
  assert.deepEqual(ran, ['b 100', 'a 500', 'c 500']);
  assert.equal(timers.nowMs(), 1200);
  assert.deepEqual([timers.size, timers.step()], [0, false]);
});

test('property: like a sorted list, whatever is set and cancelled', () => {
  const operation = fc.oneof(
    fc.record({ set: fc.oneof(fc.nat(40_000), fc.constantFrom(0, 1, 500, 32_000)) }),
    fc.record({ cancel: fc.nat(50) }),
    fc.record({ advance: fc.nat(20_000) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const timers = new VirtualTimers(0);
      const handles: { cancel(): void; id: number }[] = [];
      /** What is set, by the order of setting. */
      const due = new Map<number, number>();
      for (const step of operations) {
        if ('set' in step) {
          const id = handles.length;
          const setAt = timers.nowMs();
          const timer = timers.after(step.set, () => {
            assert.ok(due.has(id), 'cancelled or run before');
            assert.equal(timers.nowMs(), due.get(id));
            const first = [...due].reduce((a, b) => (b[1] < a[1] ? b : a));
            assert.deepEqual(first, [id, timers.nowMs()], 'by due time, then by setting');
            due.delete(id);
          });
          due.set(id, setAt + Math.max(1, step.set));
          handles.push(Object.assign({ id }, { cancel: () => timer.cancel() }));
        } else if ('cancel' in step) {
          const handle = handles[step.cancel];
          handle?.cancel();
          if (handle !== undefined) due.delete(handle.id);
        } else timers.advance(step.advance);
        assert.equal(timers.size, due.size);
      }
      timers.advance(50_000);
      assert.equal(due.size, 0);
    }),
  );
});

test('many timers of one duration cost the same each: what was cancelled is let go', () => {
  const timers = new VirtualTimers(0);
  let ran = 0;
  for (let round = 0; round < 200; round++) {
    for (let i = 0; i < 500; i++) timers.after(32_000, () => ran++).cancel();
    timers.after(32_000, () => ran++);
    timers.advance(100);
  }
  timers.advance(40_000);
  assert.deepEqual([ran, timers.size, timers.nextDueMs()], [200, 0, Number.POSITIVE_INFINITY]);
});

test('property: a wait is late by less than a tick, a short one not at all', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 41), fc.oneof(fc.nat(300), fc.nat(100_000)), (nowMs, delayMs) => {
      const lateMs = sharedDueMs(nowMs, delayMs) - (nowMs + Math.max(1, delayMs));
      assert.ok(lateMs >= 0 && lateMs < (delayMs < 250 ? 1 : 10), `${lateMs} ms late`);
    }),
  );
});

test('whatever is set within a second is due at no more than a hundred and one times', () => {
  const due = new Set<number>();
  for (let nowMs = 7; nowMs < 1007; nowMs++) due.add(sharedDueMs(nowMs, 32_000));
  assert.equal(due.size, 101);
});

test('real time: a timer that is due no earlier than another sets no wake of its own', (t) => {
  const sleeps = t.mock.method(globalThis, 'setTimeout');
  const timers = new RealTimers();
  for (let i = 0; i < 1_000; i++) timers.after(32_000 + i, () => undefined);
  assert.equal(sleeps.mock.callCount(), 1);
  timers.after(100, () => undefined);
  assert.equal(sleeps.mock.callCount(), 2);
  timers.close();
});

test('real time: timers keep the process alive unless told not to', (t) => {
  const sleeps = t.mock.method(globalThis, 'setTimeout');
  const timers = [new RealTimers(), new RealTimers().unref()];
  for (const one of timers) one.after(60_000, () => undefined);
  assert.deepEqual(
    sleeps.mock.calls.map(({ result }) => result?.hasRef()),
    [true, false],
  );
  for (const one of timers) one.close();
});

test('real time: an earlier timer wakes earlier, a throwing action hurts no other, close forgets', async () => {
  const errors: unknown[] = [];
  const timers = new RealTimers((error) => errors.push(error));
  const startMs = timers.nowMs();
  const ran: string[] = [];
  await new Promise<void>((resolve) => {
    timers.after(60_000, () => ran.push('never'));
    timers.after(5, () => {
      ran.push('first');
      assert.ok(timers.nowMs() - startMs >= 5);
      timers.after(1, () => {
        ran.push('second');
        resolve();
      });
      throw new Error('broken action');
    });
  });
  assert.deepEqual(ran, ['first', 'second']);
  assert.equal(errors.length, 1);
  assert.equal(timers.size, 1);
  timers.close();
  assert.equal(timers.size, 0);
});
