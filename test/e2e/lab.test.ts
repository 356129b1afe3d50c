import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import type { LabReport } from '../../src/lab/lab.ts';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');
const directory = mkdtempSync(join(tmpdir(), 'imsdc-lab-'));
after(() => rmSync(directory, { recursive: true, force: true }));

// conformance: 23.228 AC.7.1 — bootstrap data channels in the INVITE, both networks
// conformance: 23.228 AC.7.2.1 — P2P application channels, not anchored and anchored
// conformance: R1 — which bootstrap lines end where, seen at both UEs and between the networks
// conformance: R21 — unknown headers pass; R24 — unknown body parts pass; R7 — audio lines pass byte for byte
const PEER_TO_PEER = /^application-(none|e2)/;

test('imsdc lab --once --json: the first real call, over real SIP, DTLS and SCTP', { timeout: 120_000 }, async () => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [MAIN, 'lab', '--once', '--json', '--directory', directory],
    {
      env: { ...process.env, IMSDC_LOG: 'warn' },
    },
  );
  const lines = stdout.trimEnd().split('\n');
  assert.equal(lines.length, 1, 'exactly one line on standard output');
  const report = JSON.parse(lines[0]!) as LabReport;
  assert.deepEqual(
    report.steps.filter((step) => !step.ok),
    [],
  );
  const ids = report.steps.map(({ id }) => id);
  for (const id of [
    'lines',
    'associations',
    'bootstrap-own',
    'bootstrap-far',
    'application-server',
    'transparency',
    'release',
  ]) {
    assert.ok(ids.includes(id), `step ${id}`);
  }
  assert.deepEqual(
    report.steps.filter(({ id }) => PEER_TO_PEER.test(id)).map(({ id, details }) => [id, details?.messages]),
    [
      ['application-none', 12],
      ['application-e2DCe', 12],
      ['application-e2e', 12],
      ['application-none-label', 12],
    ],
  );
  const release = report.steps.find(({ id }) => id === 'release')!.details as {
    inCall: Record<string, number>;
    left: Record<string, number>;
  };
  assert.equal(release.inCall['MF contexts'], 2);
  assert.ok(Object.values(release.left).every((count) => count === 0));
  const page = readFileSync(report.ladder, 'utf8');
  assert.match(page, /re-INVITE/);
  assert.doesNotMatch(page, /https?:\/\/[^1"\\< ]+\.(?:js|css)/, 'self-contained');
});

test('a lab that cannot start says which process failed and why', { timeout: 60_000 }, async () => {
  const env = { ...process.env, IMSDC__imsAs__listeners: '[{transport: udp, address: 203.0.113.1, port: 5999}]' };
  const failed = promisify(execFile)(process.execPath, [MAIN, 'lab', '--once', '--json', '--directory', directory], {
    env,
  });
  await assert.rejects(failed, (error: { code: number; stderr: string; stdout: string }) => {
    assert.equal(error.code, 70);
    assert.match(error.stderr, /dcsf ended with status/);
    assert.match(error.stderr, /203\.0\.113\.1/);
    assert.equal(JSON.parse(error.stdout).failed, 'start');
    return true;
  });
});
