import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pairNames, runPair, sippAvailable } from '../../sipp/sipp.ts';
import { LOOPBACK, writeLabConfig } from '../../src/lab/config-file.ts';
import { freePort } from '../../src/lab/ports.ts';
import { LabChild } from '../../src/lab/process/child.ts';

/** CI installs SIPp, so there a missing one is a failure and not a reason to skip. */
const skip = !sippAvailable() && !process.env.CI && 'sipp is not installed (Debian: sip-tester)';

describe('SIPp scripts through a running imsdc dcsf and imsdc mf', { skip }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-sipp-test-'));
  const children: LabChild[] = [];
  let target: { address: string; port: number };
  let admin: string;

  before(async () => {
    const [applicationServer, mrm] = [await freePort(LOOPBACK), await freePort(LOOPBACK)];
    target = { address: LOOPBACK, port: applicationServer };
    const files = writeLabConfig({
      directory,
      apps: resolve(import.meta.dirname, '../../apps'),
      engine: 'auto',
      ports: { applicationServer, scscf: 0, mrm },
      // The scripts' P2P channel is not anchored: SIPp speaks no DTLS.
      overrides: { dcsf: { policy: { applications: { rules: { '10000005': { anchor: 'none' } } } } } },
    });
    for (const name of ['mf', 'dcsf'] as const) {
      children.push(new LabChild({ name, args: [name, '--config', files.config], directory, speaks: 'ipc' }));
    }
    const [, dcsf] = await Promise.all(children.map((child) => child.ready()));
    const { address, port } = dcsf!.admin as { address: string; port: number };
    admin = `http://${address}:${port}/status`;
  });

  after(async () => {
    for (const child of children) await child.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  for (const name of pairNames().filter((name) => !name.endsWith('-loss'))) {
    test(name, async () => {
      const result = await runPair({ name, target, calls: 5, rate: 10, timeoutSeconds: 30 });
      assert.ok(result.passed, `${result.uac.errors}\n${result.uas.errors}`);
    });
  }

  test('nothing is left of the calls', async () => {
    const { imsAs } = (await (await fetch(admin)).json()) as { imsAs: { calls: number; contexts: number } };
    assert.deepEqual({ calls: imsAs.calls, contexts: imsAs.contexts }, { calls: 0, contexts: 0 });
  });

  test('2 % of the messages lost on both ends: every call completes', async () => {
    const result = await runPair({ name: 'audio-loss', target, calls: 60, rate: 30, lossPercent: 2, timeoutSeconds: 60 });
    assert.ok(result.passed, `${result.uac.errors}\n${result.uas.errors}`);
  });
});
