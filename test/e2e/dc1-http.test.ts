import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { runPair, sippAvailable } from '../../sipp/sipp.ts';
import { LOOPBACK, writeLabConfig } from '../../src/lab/config-file.ts';
import { freePort } from '../../src/lab/ports.ts';
import { LabChild } from '../../src/lab/process/child.ts';

const skip = !sippAvailable() && !process.env.CI && 'sipp is not installed (Debian: sip-tester)';

/** On a busy machine the first calls of cold processes take longer than voice would wait (R17). */
const PATIENT = { dcsfBudgetMs: 30_000, mrmMs: 30_000 } as const;

// conformance: 29.175 5.2, 5.3 — DC1 over HTTP/2: IMS AS and DCSF in two processes, instructions inside the pending notification
test('the IMS AS and the DCSF in processes of their own, DC1 over HTTP/2 between them', { skip }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-dc1-test-'));
  const children: LabChild[] = [];
  t.after(async () => {
    for (const child of children) await child.stop();
    rmSync(directory, { recursive: true, force: true });
  });
  const [applicationServer, mrm, ofImsAs, ofDcsf] = await Promise.all([1, 2, 3, 4].map(() => freePort(LOOPBACK)));
  const configured = (name: string, roles: string[], dc1: object) =>
    writeLabConfig({
      directory: join(directory, name),
      apps: resolve(import.meta.dirname, '../../apps'),
      engine: 'embedded',
      ports: { applicationServer: applicationServer!, scscf: 0, mrm: mrm! },
      overrides: { roles, dc1, imsAs: { guards: PATIENT } },
    }).config;
  const start = (name: string, command: string, config: string) => {
    const child = new LabChild({ name, args: [command, '--config', config], directory, speaks: 'ipc' });
    children.push(child);
    return child.ready();
  };
  const imsAs = configured('ims-as', ['ims-as'], {
    listen: { port: ofImsAs! },
    notificationUri: `http://${LOOPBACK}:${ofDcsf!}/imsdc-session-events/v1/notifications`,
  });
  const dcsf = configured('dcsf', ['dcsf', 'dcar'], {
    listen: { port: ofDcsf! },
    imsAsApiRoot: `http://${LOOPBACK}:${ofImsAs!}`,
  });
  await Promise.all([start('mf', 'mf', imsAs), start('as', 'dcsf', imsAs), start('dcsf', 'dcsf', dcsf)]);
  for (const name of ['bootstrap-invite', 'bootstrap-terminating']) {
    const target = { address: LOOPBACK, port: applicationServer! };
    const result = await runPair({ name, target, calls: 3, rate: 5, timeoutSeconds: 30 });
    assert.ok(result.passed, `${result.uac.errors}\n${result.uas.errors}`);
  }
});

test('a role that is elsewhere needs its address: the configuration says which key', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-dc1-test-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const { config } = writeLabConfig({
    directory,
    apps: directory,
    engine: 'embedded',
    ports: { applicationServer: await freePort(LOOPBACK), scscf: 0, mrm: 1 },
    overrides: { roles: ['ims-as'] },
  });
  const child = new LabChild({ name: 'as', args: ['dcsf', '--config', config], directory, speaks: 'ipc' });
  await assert.rejects(child.ready(), /dc1\.notificationUri: is needed without the role dcsf/);
});
