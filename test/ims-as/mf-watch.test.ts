import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { silentLogger } from '../../src/base/log.ts';
import { VirtualTimers } from '../../src/base/timers.ts';
import { ImsdcError } from '../../src/errors.ts';
import { MfWatch } from '../../src/ims-as/mf-watch.ts';
import type { PatchItem } from '../../src/services/nmf-mrm.ts';

type Answer = 'held' | 'unknown' | 'overloaded' | 'silence';

/** An MF that answers as the test says, and a watch of it in virtual time. */
function rig(options: { answer: Answer; probeMs?: number }) {
  const timers = new VirtualTimers(0);
  const asked: { atMs: number; contextId: string; items: readonly PatchItem[] }[] = [];
  const lost: { atMs: number; contextIds: string[]; reason: string }[] = [];
  const back: { atMs: number; contextIds: string[] }[] = [];
  const mf = { answer: options.answer };
  const watch = new MfWatch({
    timers,
    log: silentLogger,
    probeMs: options.probeMs ?? 5_000,
    client: {
      patchContext: async (contextId, items) => {
        asked.push({ atMs: timers.nowMs(), contextId, items });
        if (mf.answer === 'unknown') throw new ImsdcError('MRM_NOT_FOUND', { contextId, status: 404 });
        if (mf.answer === 'overloaded') throw new ImsdcError('MRM_UNAVAILABLE', { status: 503 });
        if (mf.answer === 'silence') throw new ImsdcError('MRM_UNAVAILABLE', { detail: 'no connection' });
        return undefined;
      },
    },
    lost: (contextIds, reason) => lost.push({ atMs: timers.nowMs(), contextIds: [...contextIds], reason }),
    back: (contextIds) => back.push({ atMs: timers.nowMs(), contextIds: [...contextIds] }),
  });
  /** Time passes step by step, so that answers are taken when they come. */
  const pass = async (ms: number) => {
    const endMs = timers.nowMs() + ms;
    while (timers.nextDueMs() <= endMs) {
      timers.step();
      await setImmediate();
    }
    timers.advance(endMs - timers.nowMs());
  };
  return { watch, mf, asked, lost, back, pass, timers };
}

// conformance: R25 — a PATCH of test operations asks whether an MF still holds a context; 404 means lost
describe('the watch over an MF', () => {
  it('asks for one context after the other, and for none when there is none', async () => {
    const { watch, asked, lost, pass, timers } = rig({ answer: 'held' });
    watch.add('a');
    watch.add('b');
    await pass(15_000);
    assert.deepEqual(
      asked.map(({ atMs, contextId }) => [atMs, contextId]),
      [
        [5_000, 'a'],
        [10_000, 'b'],
        [15_000, 'a'],
      ],
    );
    assert.deepEqual(asked[0]!.items, [{ op: 'test', path: '/contextId', value: 'a' }]);
    watch.remove('a');
    watch.remove('b');
    await pass(60_000);
    assert.deepEqual([asked.length, lost.length, timers.size], [3, 0, 0]);
  });

  it('names a context that the MF does not know, and asks for the others at once', async () => {
    const { watch, asked, lost, pass } = rig({ answer: 'unknown' });
    for (const contextId of ['a', 'b', 'c']) watch.add(contextId);
    await pass(5_500);
    assert.deepEqual(
      lost.flatMap(({ contextIds }) => contextIds),
      ['a', 'b', 'c'],
    );
    assert.equal(asked.length, 3);
    await pass(60_000);
    assert.equal(asked.length, 3, 'each is named once');
  });

  it('gives up an MF after the second question without an answer, and asks on until it is back', async () => {
    const { watch, mf, asked, lost, back, pass } = rig({ answer: 'silence' });
    for (let index = 0; index < 120; index++) watch.add(`context-${index}`);
    await pass(5_999);
    assert.deepEqual([lost.length, watch.isLost], [0, false]);
    await pass(1_000);
    assert.deepEqual(
      lost.map(({ atMs, contextIds }) => [atMs, contextIds.length]),
      [[6_000, 120]],
    );
    assert.ok(watch.isLost);
    // Its calls have moved; only whether it lives is of interest now.
    for (let index = 0; index < 120; index++) watch.remove(`context-${index}`);
    await pass(10_000);
    assert.deepEqual([asked.length, lost.length, back.length], [12, 1, 0]);
    mf.answer = 'unknown';
    await pass(1_000);
    assert.deepEqual(
      back.map(({ atMs, contextIds }) => [atMs, contextIds.length]),
      [[17_000, 120]],
    );
    assert.equal(watch.isLost, false);
    await pass(60_000);
    assert.equal(asked.length, 13, 'there is nothing to ask for');
  });

  it('takes one miss for an accident, and a refusal for life', async () => {
    const { watch, mf, lost, pass } = rig({ answer: 'silence' });
    watch.add('a');
    await pass(5_500);
    mf.answer = 'overloaded';
    await pass(60_000);
    mf.answer = 'silence';
    await pass(1_000);
    mf.answer = 'held';
    await pass(60_000);
    assert.deepEqual(lost, []);
  });

  it('is silent when told so, and after its end', async () => {
    const off = rig({ answer: 'silence', probeMs: 0 });
    off.watch.add('a');
    await off.pass(60_000);
    const closed = rig({ answer: 'silence' });
    closed.watch.add('a');
    closed.watch.close();
    await closed.pass(60_000);
    assert.deepEqual([off.asked, closed.asked, closed.lost, closed.back], [[], [], [], []]);
  });
});
