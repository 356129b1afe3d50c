import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { silentLogger } from '../../src/base/log.ts';
import { VirtualTimers } from '../../src/base/timers.ts';
import { ImsdcError } from '../../src/errors.ts';
import { MfWatch } from '../../src/ims-as/mf-watch.ts';
import type { PatchItem } from '../../src/services/nmf-mrm.ts';

type Answer = 'held' | 'unknown' | 'overloaded' | 'refused' | 'unreachable' | 'silence';

/** An MF that answers as the test says, and a watch of it in virtual time. */
function rig(options: { answer: Answer; probeMs?: number; patienceMs?: number }) {
  const timers = new VirtualTimers(0);
  const asked: { atMs: number; contextId: string; items: readonly PatchItem[] }[] = [];
  const lost: { atMs: number; contextIds: string[]; reason: string }[] = [];
  const back: { atMs: number; contextIds: string[] }[] = [];
  /** `slowMs`: after that it answers; `lateMs`: so much later than it should does our own timer run. */
  const mf = { answer: options.answer, slowMs: 0, lateMs: 0 };
  const after = (ms: number) => new Promise<void>((resolve) => (ms > 0 ? timers.after(ms, resolve) : resolve()));
  const watch = new MfWatch({
    timers,
    log: silentLogger,
    probeMs: options.probeMs ?? 5_000,
    patienceMs: options.patienceMs ?? 8_000,
    client: {
      patchContext: async (contextId, items, { deadlineMs }) => {
        asked.push({ atMs: timers.nowMs(), contextId, items });
        const leftMs = deadlineMs - timers.nowMs();
        if (mf.answer === 'silence' || mf.slowMs > leftMs) {
          await after(leftMs + mf.lateMs);
          throw new ImsdcError('MRM_TIMEOUT', { endedByPeer: false });
        }
        await after(mf.slowMs);
        if (mf.answer === 'unknown') throw new ImsdcError('MRM_NOT_FOUND', { contextId, status: 404 });
        if (mf.answer === 'overloaded') throw new ImsdcError('MRM_UNAVAILABLE', { status: 503 });
        if (mf.answer === 'unreachable') throw new ImsdcError('MRM_UNAVAILABLE', { endedByPeer: false });
        if (mf.answer === 'refused') throw new ImsdcError('MRM_UNAVAILABLE', { endedByPeer: true });
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

  it('gives up an MF that refuses two connections in a row, and asks on until it is back', async () => {
    const { watch, mf, asked, lost, back, pass } = rig({ answer: 'refused' });
    for (let index = 0; index < 120; index++) watch.add(`context-${index}`);
    await pass(5_999);
    assert.deepEqual([lost.length, watch.isLost], [0, false]);
    await pass(1_000);
    assert.deepEqual(
      lost.map(({ atMs, contextIds, reason }) => [atMs, contextIds.length, reason]),
      [[6_000, 120, 'nobody is there']],
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

  it('asks at once when the connection ends: a killed MF is lost a second later', async () => {
    const { watch, mf, lost, pass, timers } = rig({ answer: 'held' });
    watch.add('a');
    await pass(6_500);
    mf.answer = 'refused';
    watch.suspect();
    await pass(2_000);
    assert.deepEqual(
      lost.map(({ atMs }) => atMs),
      [7_501],
    );
    assert.equal(timers.nowMs(), 8_500);
  });

  it('takes an address that has gone for a network that fails, unless the connection was ended before', async () => {
    for (const [ended, lostMs] of [
      [true, 7_501],
      [false, 18_000],
    ] as const) {
      const { watch, mf, lost, pass } = rig({ answer: 'held' });
      watch.add('a');
      await pass(6_500);
      mf.answer = 'unreachable';
      if (ended) watch.suspect();
      await pass(20_000);
      assert.deepEqual(
        lost.map(({ atMs }) => atMs),
        [lostMs],
      );
    }
  });

  it('asks one that ends every connection behind its answer once a second, not more', async () => {
    const { watch, asked, lost, pass, timers } = rig({ answer: 'held' });
    watch.suspect();
    watch.add('a');
    for (const endMs = timers.nowMs() + 10_000; timers.nowMs() < endMs; ) {
      watch.suspect();
      await pass(50);
    }
    assert.deepEqual([asked.length, lost.length], [10, 0]);
  });

  it('is patient with one that is silent, and gives it up when the patience is over', async () => {
    const { watch, asked, lost, back, mf, pass } = rig({ answer: 'silence', patienceMs: 8_000 });
    watch.add('a');
    await pass(12_999);
    assert.deepEqual([asked.length, lost.length], [1, 0], 'one question, which may be answered all the time');
    await pass(1);
    assert.deepEqual(
      lost.map(({ atMs, reason }) => [atMs, reason]),
      [[13_000, 'it does not answer']],
    );
    mf.answer = 'held';
    await pass(4_000);
    assert.deepEqual(
      back.map(({ contextIds }) => contextIds),
      [['a']],
    );
  });

  it('loses nothing of an MF that is slow, or that stands still for less than the patience', async () => {
    const { watch, mf, lost, pass } = rig({ answer: 'held' });
    watch.add('a');
    mf.slowMs = 7_900;
    await pass(60_000);
    assert.deepEqual(lost, []);
    // The network gives up a connection before the patience is over; the next one works.
    mf.answer = 'overloaded';
    mf.slowMs = 0;
    await pass(60_000);
    assert.deepEqual(lost, []);
  });

  it('takes its own standstill for nothing: an answer may wait to be read', async () => {
    const { watch, mf, asked, lost, pass } = rig({ answer: 'silence' });
    mf.lateMs = 2_000;
    watch.add('a');
    await pass(15_000);
    assert.deepEqual([asked.length, lost.length], [1, 0]);
    mf.answer = 'held';
    await pass(1_000);
    assert.deepEqual([asked.length, lost.length], [2, 0]);
    await pass(60_000);
    assert.deepEqual(lost, []);
  });

  it('takes one refusal for an accident, and an answer of any kind for life', async () => {
    const { watch, mf, lost, pass } = rig({ answer: 'refused' });
    watch.add('a');
    await pass(5_500);
    mf.answer = 'overloaded';
    await pass(60_000);
    mf.answer = 'refused';
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
