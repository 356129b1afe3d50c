import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PORT_REST_MS, PortPool } from '../../src/mf/ports.ts';

// conformance: R6 — a freed port rests 30 s before it is used again
test('a freed port rests 30 s; the longest unused goes first', () => {
  let nowMs = 1_000;
  const pool = new PortPool({ first: 40_000, last: 40_002, nowMs: () => nowMs });
  assert.deepEqual([pool.take(), pool.take(), pool.take(), pool.take()], [40_000, 40_001, 40_002, undefined]);
  pool.free(40_001);
  nowMs += 1;
  pool.free(40_000);
  nowMs += PORT_REST_MS - 2;
  assert.equal(pool.take(), undefined);
  assert.equal(pool.resting, 2);
  nowMs += 1;
  assert.equal(pool.take(), 40_001);
  assert.equal(pool.take(), undefined);
  nowMs += 1;
  assert.equal(pool.take(), 40_000);
  assert.equal(pool.taken, 3);
});

test('no port is ever held twice or handed out before its rest is over', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 200 }), (steps) => {
      let nowMs = 0;
      const pool = new PortPool({ first: 1, last: 8, nowMs: () => nowMs });
      const held = new Set<number>();
      const freedAt = new Map<number, number>();
      for (const step of steps) {
        nowMs += step;
        const oldest = [...held][0];
        if (step % 2 === 0 && oldest !== undefined) {
          held.delete(oldest);
          freedAt.set(oldest, nowMs);
          pool.free(oldest);
          continue;
        }
        const port = pool.take();
        const ready = Array.from({ length: 8 }, (_, i) => i + 1).some(
          (p) => !held.has(p) && nowMs - (freedAt.get(p) ?? -PORT_REST_MS) >= PORT_REST_MS,
        );
        assert.equal(port !== undefined, ready);
        if (port === undefined) continue;
        assert.ok(!held.has(port));
        assert.ok(nowMs - (freedAt.get(port) ?? -PORT_REST_MS) >= PORT_REST_MS);
        held.add(port);
      }
      assert.equal(pool.taken, held.size);
    }),
  );
});
