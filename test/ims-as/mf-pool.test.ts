import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Value } from 'typebox/value';
import { silentLogger } from '../../src/base/log.ts';
import { Metrics } from '../../src/base/metrics.ts';
import { VirtualTimers } from '../../src/base/timers.ts';
import { ImsdcError } from '../../src/errors.ts';
import { ImsAsConfig } from '../../src/ims-as/config.ts';
import { type MfClient, MfPool } from '../../src/ims-as/mf-pool.ts';

/** An MF behind a network that the test cuts and mends. */
class Mf {
  readonly held = new Set<string>();
  /** What it was asked to delete, each time. */
  readonly deletions: string[] = [];
  state: 'up' | 'killed' | 'cutOff' = 'up';
  /** DELETEs that it fails before it does one. */
  failures = 0;
  onEndedByPeer: () => void = () => undefined;
  readonly #name: string;
  readonly #timers: VirtualTimers;
  #serial = 0;

  constructor(name: string, timers: VirtualTimers) {
    this.#name = name;
    this.#timers = timers;
  }

  kill(): void {
    this.state = 'killed';
    this.held.clear();
    this.onEndedByPeer();
  }

  client(): MfClient {
    return {
      createContext: async (context, { deadlineMs }) => {
        await this.#reached(deadlineMs);
        const contextId = `${this.#name}-${++this.#serial}`;
        this.held.add(contextId);
        return { ...context, contextId };
      },
      patchContext: async (contextId, _items, { deadlineMs }) => {
        await this.#reached(deadlineMs);
        if (!this.held.has(contextId)) throw new ImsdcError('MRM_NOT_FOUND', { contextId, status: 404 });
        return undefined;
      },
      deleteContext: async (contextId, { deadlineMs }) => {
        await this.#reached(deadlineMs);
        this.deletions.push(contextId);
        if (--this.failures >= 0) throw new ImsdcError('MRM_FAILED', { contextId, status: 500 });
        this.held.delete(contextId);
      },
      close: async () => undefined,
    };
  }

  async #reached(deadlineMs: number): Promise<void> {
    if (this.state === 'killed') throw new ImsdcError('MRM_UNAVAILABLE', { endedByPeer: true });
    if (this.state === 'up') return;
    await new Promise<void>((resolve) => this.#timers.after(deadlineMs - this.#timers.nowMs(), resolve));
    throw new ImsdcError('MRM_TIMEOUT', { endedByPeer: false });
  }
}

function rig() {
  const timers = new VirtualTimers(0);
  const mfs = { a: new Mf('a', timers), b: new Mf('b', timers) };
  const lost: string[][] = [];
  const metrics = new Metrics();
  const config = Value.Default(ImsAsConfig.properties.mf, { urls: ['http://a', 'http://b'] }) as ImsAsConfig['mf'];
  const pool = new MfPool(config, {
    log: silentLogger,
    metrics,
    timers,
    token: { instance: 'test', worker: 0, epoch: 1 },
    lost: (contextIds) => lost.push([...contextIds]),
    connect: (apiRoot, onEndedByPeer) => {
      const mf = apiRoot === 'http://a' ? mfs.a : mfs.b;
      mf.onEndedByPeer = onEndedByPeer;
      return mf.client();
    },
  });
  /** Time passes step by step, so that answers are taken when they come. */
  const pass = async (ms: number) => {
    const endMs = timers.nowMs() + ms;
    await setImmediate();
    while (timers.nextDueMs() <= endMs) {
      timers.step();
      await setImmediate();
    }
    timers.advance(endMs - timers.nowMs());
  };
  const create = async () => {
    const operation = { method: 'POST' as const, context: { terminations: [] }, idempotencyKey: `k${timers.nowMs()}` };
    const outcome = await pool.run(operation, timers.nowMs() + 1_000);
    assert.ok(outcome.ok, JSON.stringify(outcome));
    return { mf: outcome.value.mf, contextId: outcome.value.context!.contextId! };
  };
  /** What a call does of itself when its context is lost. */
  const abandon = (contextId: string) =>
    pool.run({ method: 'DELETE', mf: 'http://a', contextId }, timers.nowMs() + 10_000);
  const orphans = metrics.counter('imsdc_ims_as_orphaned_contexts_total', '');
  return { pool, mfs, lost, timers, pass, create, abandon, orphans };
}

/** Six contexts, three at each MF; then the first MF is cut off, and its calls have given theirs up. */
async function cutOff() {
  const world = rig();
  for (let n = 0; n < 6; n++) await world.create();
  assert.deepEqual([world.mfs.a.held.size, world.mfs.b.held.size], [3, 3]);
  world.mfs.a.state = 'cutOff';
  await world.pass(20_000);
  assert.deepEqual(world.lost, [['a-1', 'a-2', 'a-3']]);
  for (const contextId of world.lost[0]!) await world.abandon(contextId);
  return world;
}

describe('the pool of MFs', () => {
  // conformance: R25 — an MF that was only cut off: what it holds of ours and nobody needs any more is deleted
  it('deletes what an MF still holds that was given up, one after the other, and nothing else', async () => {
    const { mfs, pool, pass, create } = await cutOff();
    assert.deepEqual(
      pool.status().map(({ contexts, lost }) => [contexts, lost]),
      [
        [0, true],
        [3, false],
      ],
    );
    assert.equal((await create()).mf, 'http://b', 'nobody waits for the lost one');
    assert.deepEqual(mfs.a.deletions, []);
    mfs.a.state = 'up';
    await pass(3_000);
    assert.deepEqual(mfs.a.deletions, ['a-1', 'a-2', 'a-3']);
    assert.deepEqual([mfs.a.held.size, mfs.b.held.size], [0, 4]);
    assert.equal((await create()).mf, 'http://a', 'it takes calls again');
    await pass(60_000);
    assert.deepEqual([[...mfs.a.held], mfs.a.deletions.length], [['a-4'], 3], 'the new one stays');
  });

  it('tries a deletion that fails again, and counts what stays', async () => {
    const { mfs, pass, orphans } = await cutOff();
    mfs.a.state = 'up';
    mfs.a.failures = 6;
    await pass(60_000);
    assert.deepEqual(mfs.a.deletions, ['a-1', 'a-1', 'a-1', 'a-1', 'a-2', 'a-2', 'a-2', 'a-3']);
    assert.deepEqual([[...mfs.a.held], orphans.value], [['a-1'], 1]);
  });

  it('goes on where it was when the MF is lost in the middle of it', async () => {
    const { mfs, pool, pass, create } = await cutOff();
    mfs.a.state = 'up';
    // The first DELETE fails, and is to be tried again when the MF has gone once more.
    mfs.a.failures = 1;
    while (mfs.a.deletions.length === 0) await pass(100);
    assert.deepEqual([mfs.a.deletions, mfs.a.held.size], [['a-1'], 3]);
    const { contextId, mf } = await create();
    assert.equal(mf, 'http://a');
    mfs.a.state = 'cutOff';
    await pass(60_000);
    assert.ok(pool.status()[0]!.lost);
    mfs.a.state = 'up';
    await pass(30_000);
    assert.deepEqual(mfs.a.held, new Set());
    assert.ok(mfs.a.deletions.includes(contextId));
  });

  it('an MF that was killed and started again knows none of them, and takes the next', async () => {
    const { mfs, lost, pass, pool, create, timers } = rig();
    for (let n = 0; n < 4; n++) await create();
    await pass(1_200);
    mfs.a.kill();
    await pass(1_100);
    assert.deepEqual([lost, timers.nowMs()], [[['a-1', 'a-2']], 2_300]);
    mfs.a.state = 'up';
    await pass(3_000);
    assert.ok(!pool.status()[0]!.lost);
    assert.equal(mfs.b.held.size, 2);
  });
});
