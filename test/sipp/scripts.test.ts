import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { needsCoreAlone, runAlone } from '../../sipp/accident.ts';
import { type Core, startCore } from '../../sipp/core.ts';
import { PAIRS } from '../../sipp/pairs/index.ts';
import { runPairCleanly, sippAvailable } from '../../sipp/sipp.ts';

/** CI installs SIPp, so there a missing one is a failure and not a reason to skip. */
const skip = !sippAvailable() && !process.env.CI && 'sipp is not installed (Debian: sip-tester)';
/** So that scripts which mostly wait for timers do not wait one after the other. */
const AT_ONCE = 4;

describe('SIPp scripts through a running imsdc dcsf and imsdc mf', { skip }, () => {
  let core: Core;

  before(async () => {
    core = await startCore();
  });

  after(async () => {
    await core?.stop();
  });

  describe('each pair', { concurrency: AT_ONCE }, () => {
    for (const { name, shows, run } of PAIRS) {
      if (needsCoreAlone(name)) continue;
      test(`${name}: ${shows}`, async () => {
        const calls = run?.lossPercent === undefined ? 3 : 60;
        const rate = run?.lossPercent === undefined ? 10 : 30;
        const target = { address: '127.0.0.1', port: core.port };
        const result = await runPairCleanly({ name, target, dc4: core.dc4, calls, rate });
        assert.deepEqual(result.problems, []);
      });
    }
  });

  for (const { name, shows } of PAIRS.filter((pair) => needsCoreAlone(pair.name))) {
    test(`${name}: ${shows}`, async () => {
      const result = await runAlone(core, ({ dc4, port }) => {
        return { name, target: { address: '127.0.0.1', port }, dc4, calls: 3, rate: 10 };
      });
      assert.deepEqual(result.problems, []);
    });
  }

  test('nothing is left of the calls', async () => {
    assert.deepEqual(await core.holds(), { calls: 0, contexts: 0 });
  });
});
