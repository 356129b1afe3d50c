import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../src/base/log.ts';
import { ImsdcError } from '../../src/errors.ts';
import { LabChild } from '../../src/lab/process/child.ts';
import { NmfMrmClient } from '../../src/services/nmf-mrm-client.ts';
import { bootstrapContext } from '../services/messages.ts';

const soon = () => ({ deadlineMs: Date.now() + 5_000 });

test('imsdc mf drains at SIGUSR2: no new context, and its end when the last one is deleted', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-drain-'));
  const config = join(directory, 'imsdc.yaml');
  writeFileSync(config, 'admin: { mfPort: 0 }\nmf: { listen: { port: 0 }, engine: embedded, workers: 1 }\n');
  const mf = new LabChild({ name: 'mf', args: ['mf', '--config', config], directory, speaks: 'ipc' });
  const apiRoot = String((await mf.ready()).mrm);
  const client = new NmfMrmClient({ apiRoot, userAgent: 'IMS_AS-test', log: silentLogger });
  try {
    const { contextId } = await client.createContext(bootstrapContext(), soon());
    const ended = once(mf.process, 'exit');
    mf.process.kill('SIGUSR2');
    // The signal is handled beside our requests: until then contexts are still taken.
    for (let refused = false; !refused; ) {
      const outcome = await client.createContext(bootstrapContext(), soon()).catch((error: unknown) => error);
      if (outcome instanceof ImsdcError) {
        assert.equal(outcome.code, 'MRM_UNAVAILABLE');
        refused = true;
      } else await client.deleteContext((outcome as { contextId: string }).contextId, soon());
    }
    assert.equal(mf.process.exitCode, null);
    await client.deleteContext(contextId, soon());
    assert.deepEqual(await ended, [0, null]);
  } finally {
    await client.close();
    await mf.stop();
    rmSync(directory, { recursive: true, force: true });
  }
});
