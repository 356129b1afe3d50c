import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ImsdcError } from '../../src/errors.ts';
import { parseSessionDescription } from '../../src/sdp/parse.ts';
import { occupySlot, type Slot, takeOfferedSlots, vacantSlot, vacateRefused, vacateSlot } from '../../src/sdp/slots.ts';

const offer = (...ports: number[]) =>
  parseSessionDescription(`v=0\n${ports.map((port) => `m=application ${port} x y\n`).join('')}`);

// conformance: R8 — (leg, slot, generation) -> mediaId, a port-0 slot may be taken over
test('a vacant slot is taken over as its next generation, ids are not used again', () => {
  const first = takeOfferedSlots([], offer(1, 2, 3), 1);
  assert.deepEqual(
    first.slots.map((s) => s.mediaId),
    ['m1', 'm2', 'm3'],
  );
  assert.deepEqual([first.taken, first.nextSerial], [[0, 1, 2], 4]);

  const closed = vacateRefused(first.slots, offer(1, 0, 3), offer(1, 0, 3));
  assert.deepEqual(
    closed.map((s) => s.live),
    [true, false, true],
  );
  assert.equal(takeOfferedSlots(closed, offer(1, 0, 3), 4).slots, closed, 'still at port 0: nothing is taken');

  const reused = takeOfferedSlots(closed, offer(1, 7, 3, 8), 4);
  assert.deepEqual(reused.slots[1], { mediaId: 'm4', generation: 1, live: true });
  assert.deepEqual([reused.taken, reused.nextSerial], [[1, 3], 6]);
});

test('a live slot that an offer sets to port 0 stays until the answer is agreed', () => {
  const { slots } = takeOfferedSlots([], offer(1, 2), 1);
  assert.equal(takeOfferedSlots(slots, offer(1, 0), 3).slots, slots);
});

test('an answer with fewer m-lines vacates the missing ones', () => {
  const { slots } = takeOfferedSlots([], offer(1, 2, 3), 1);
  assert.deepEqual(
    vacateRefused(slots, offer(1, 2, 3), offer(1)).map((s) => s.live),
    [true, false, false],
  );
});

test('a line offered with port 0 from the start has a slot and is not live', () => {
  const { slots, taken } = takeOfferedSlots([], offer(1, 0), 1);
  assert.deepEqual(
    slots.map((s) => s.live),
    [true, false],
  );
  assert.deepEqual(taken, [0]);
});

test('lines of our own go to the first vacant slot, never into a live one', () => {
  const { slots } = takeOfferedSlots([], offer(1, 2), 1);
  assert.equal(vacantSlot(slots), 2);
  const vacated = vacateSlot(slots, 0);
  assert.equal(vacantSlot(vacated), 0);
  assert.equal(occupySlot(vacated, 0, 'd-x')[0]!.generation, 1);
  for (const slot of [1, 3]) {
    assert.throws(
      () => occupySlot(vacated, slot, 'd-x'),
      (error) => error instanceof ImsdcError && error.code === 'SDP_SLOT_IN_USE',
    );
  }
});

test('over any history slots never move and no mediaId comes twice', () => {
  const ports = fc.array(fc.constantFrom(0, 9), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(fc.array(ports, { maxLength: 20 }), (history) => {
      let slots: readonly Slot[] = [];
      let serial = 1;
      const born = new Map<string, string>();
      for (const [turn, round] of history.entries()) {
        const sdp = offer(...round);
        const before = slots;
        const taken = takeOfferedSlots(slots, sdp, serial);
        ({ slots, nextSerial: serial } = taken);
        for (const [slot, old] of before.entries()) {
          const now = slots[slot]!;
          if (old.live) assert.deepEqual(now, old);
          else if (now.mediaId !== old.mediaId) assert.equal(now.generation, old.generation + 1);
        }
        for (const slot of taken.taken) {
          const { mediaId } = slots[slot]!;
          assert.ok(!born.has(mediaId), mediaId);
          born.set(mediaId, `${slot} at ${turn}`);
        }
        slots = vacateRefused(slots, sdp, sdp);
      }
    }),
  );
});
