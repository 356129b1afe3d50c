import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Idempotency } from '../../src/sbi/idempotency.ts';

test('a repeated request is executed once; failures are not remembered; outcomes are forgotten after a minute', async () => {
  let nowMs = 0;
  const once = new Idempotency<number>(() => nowMs);
  let calls = 0;
  const run = (key?: string) => once.once(key, async () => ++calls);
  await assert.rejects(once.once('k', async () => Promise.reject(new Error('no'))));
  assert.deepEqual(await Promise.all([run('k'), run('k')]), [1, 1]);
  assert.equal(await run('other'), 2);
  assert.equal(await run(), 3);
  assert.equal(once.size, 2);
  nowMs = 60_000;
  assert.equal(await run('k'), 4);
  assert.equal(once.size, 1);
});
