import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HashRing } from '../../src/dispatch/ring.ts';

const keys = Array.from({ length: 20_000 }, (_, index) => `${index}-4711@198.18.0.${index & 255}`);

test('calls are spread evenly: the busiest worker is full first', () => {
  // So many that chance differs by less than a percent.
  const many = Array.from({ length: 200_000 }, (_, index) => `${index}-4711@198.18.0.${index & 255}`);
  for (const workers of [2, 3, 4, 8]) {
    const ring = new HashRing(workers);
    const counts = new Array<number>(workers).fill(0);
    for (const key of many) counts[ring.home(key)]!++;
    const even = many.length / workers;
    for (const count of counts) assert.ok(Math.abs(count - even) < even * 0.03, `${workers}: ${counts.join(' ')}`);
  }
});

test('a worker that is away hands its calls to all others, and nobody else moves', () => {
  const ring = new HashRing(4);
  const taken = new Array<number>(4).fill(0);
  for (const key of keys) {
    const home = ring.home(key);
    const now = ring.pick(key, (worker) => worker !== 2);
    if (home === 2) taken[now]!++;
    else assert.equal(now, home);
  }
  assert.equal(taken[2], 0);
  const moved = taken.reduce((sum, count) => sum + count, 0);
  for (const worker of [0, 1, 3]) assert.ok(taken[worker]! > moved / 5, taken.join(' '));
});

test('one more worker takes its share and moves nothing between the others', () => {
  const [before, after] = [new HashRing(4), new HashRing(5)];
  const moved = keys.filter((key) => before.home(key) !== after.home(key));
  assert.ok(moved.every((key) => after.home(key) === 4));
  assert.ok(moved.length < keys.length * 0.25, `${moved.length}`);
});

test('with all away a call keeps its home', () => {
  const ring = new HashRing(3);
  assert.equal(
    ring.pick('x', () => false),
    ring.home('x'),
  );
});
