import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventLoopTurns } from '../../src/base/event-loop-turns.ts';

/** A loop whose turns, clock and sleep are the test's. */
function loop(paceMs: number) {
  const rests: number[] = [];
  let nowMs = 1000;
  let ends: (() => void)[] = [];
  const turns = new EventLoopTurns({
    paceMs,
    clock: () => nowMs,
    rest: (ms) => {
      rests.push(ms);
      nowMs += ms;
    },
    afterInput: (run) => ends.push(run),
  });
  /** One turn: so much time passes with work; whether it was ended at all. */
  const turn = (workMs: number, arrived = 0): boolean => {
    if (arrived > 0) turns.arrived(arrived);
    nowMs += workMs;
    const due = ends;
    ends = [];
    for (const end of due) end();
    return due.length > 0;
  };
  return { turns, rests, turn };
}

/** Two windows with `perSecond` messages; afterwards the density is known. */
function settle({ turn }: ReturnType<typeof loop>, perSecond: number): void {
  for (let ms = 0; ms < 100; ms += 5) turn(5, perSecond / 200);
}

test('few messages are never made to wait', () => {
  const one = loop(2);
  settle(one, 600);
  assert.deepEqual(one.rests, []);
});

test('while messages are dense a turn begins a pace after the one before, whatever the work between', () => {
  const one = loop(2);
  settle(one, 1000);
  one.rests.length = 0;
  for (const workMs of [0, 0.5, 1.5]) one.turn(workMs, 2);
  assert.deepEqual(one.rests, [2, 1.5, 0.5]);
});

test('a turn that took longer than the pace is followed by the next at once', () => {
  const one = loop(2);
  settle(one, 1000);
  one.turn(0, 2);
  one.rests.length = 0;
  one.turn(7, 20);
  one.turn(2, 20);
  assert.deepEqual(one.rests, []);
});

test('turns without input keep the pace until the window shows that few come; then nothing is left to do', () => {
  const one = loop(2);
  settle(one, 1000);
  let turns = 0;
  while (one.turn(0)) assert.ok(++turns < 60, 'it goes on for ever');
  assert.ok(turns > 20, `${turns} turns`);
});

test('a pace of 0 rests never', () => {
  const one = loop(0);
  settle(one, 100_000);
  assert.deepEqual(one.rests, []);
});

test('what is to be done at the end of a turn is done once, in order, before the rest', () => {
  const one = loop(2);
  settle(one, 1000);
  one.rests.length = 0;
  const done: string[] = [];
  one.turns.atEnd(() => done.push(`first, ${one.rests.length} rests`));
  one.turns.atEnd(() => {
    done.push('second');
    one.turns.atEnd(() => done.push('third'));
  });
  one.turn(1);
  assert.deepEqual(done, ['first, 0 rests', 'second']);
  one.turn(1);
  assert.deepEqual(done, ['first, 0 rests', 'second', 'third']);
});
