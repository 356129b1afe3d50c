import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../../src/base/log.ts';
import { SupervisedProcess } from '../../../src/base/supervisor.ts';

/**
 * A child could not be started again for a moment (no process, no file descriptor left): nobody listened for that error,
 * and the supervisor, with the SIP address of all workers, went down with it.
 */
test('a child that cannot be spawned again is tried again later', async (t) => {
  const { execPath } = process;
  const ready: (number | undefined)[] = [];
  const again = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<void>();
  const child = new SupervisedProcess({
    name: 'test',
    module: resolve(import.meta.dirname, 'child.ts'),
    args: [],
    log: Object.assign(Object.create(silentLogger), {
      error: (fields: { problem?: string }) => {
        if (fields.problem === undefined) return;
        process.execPath = execPath;
        failed.resolve();
      },
    }),
    onReady: () => {
      ready.push(child.pid);
      if (ready.length === 2) again.resolve();
    },
  });
  t.after(async () => {
    process.execPath = execPath;
    await child.stop();
  });
  await child.start();
  process.execPath = '/nowhere/node';
  process.kill(child.pid!, 'SIGKILL');
  await failed.promise;
  await again.promise;
  assert.equal(ready.length, 2);
  assert.notEqual(ready[0], ready[1]);
});
