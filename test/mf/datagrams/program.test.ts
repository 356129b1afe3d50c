import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { workerMissing } from '../../native/rig.ts';
import { Namespaces, namespacesMissing } from './namespaces.ts';

const skip = namespacesMissing || workerMissing;
const MAIN = join(import.meta.dirname, '../../../src/cli/main.ts');

/** `imsdc mf` on the MF's host. */
async function startMf(
  spaces: Namespaces,
  mf: object,
): Promise<{ child: ChildProcess; log: Record<string, unknown>[] }> {
  const directory = mkdtempSync(join(tmpdir(), 'imsdc-kernel-'));
  const config = join(directory, 'imsdc.yaml');
  writeFileSync(
    config,
    JSON.stringify({ instance: 'mf-1', admin: { mfPort: 0 }, mf: { listen: { port: 0 }, workers: 1, ...mf } }),
  );
  const [file, ...first] = Namespaces.in(spaces.mf);
  const child = spawn(file, [...first, process.execPath, MAIN, 'mf', '--config', config], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { ...process.env, IMSDC_LOG: 'info' },
  });
  const log: Record<string, unknown>[] = [];
  const lines = createInterface({ input: child.stderr! });
  lines.on('line', (line) => line.startsWith('{') && log.push(JSON.parse(line) as Record<string, unknown>));
  await Promise.race([once(child, 'message'), once(child, 'exit')]);
  rmSync(directory, { recursive: true });
  return { child, log };
}

const tables = (spaces: Namespaces) => spaces.run(spaces.mf, 'nft', 'list', 'tables');
const TABLE = 'table inet imsdc_mf_1_40000\n';

test('auto means kernel where it can, and the log says so; a killed MF leaves no table', { skip }, async () => {
  using spaces = new Namespaces();
  const { child, log } = await startMf(spaces, {});
  assert.equal(log.find(({ datagramPath }) => datagramPath)?.datagramPath, 'kernel');
  assert.equal(tables(spaces), TABLE);
  const left = once(child, 'exit');
  child.kill('SIGKILL');
  await left;
  // The guard removes it; it is no child of ours, so it can only be looked for.
  while (tables(spaces) !== '') await new Promise(setImmediate);
});

test('a stopped MF takes its table with it', { skip }, async () => {
  using spaces = new Namespaces();
  const { child } = await startMf(spaces, { datagramPath: 'kernel' });
  assert.equal(tables(spaces), TABLE);
  const left = once(child, 'exit');
  child.kill('SIGTERM');
  await left;
  assert.equal(tables(spaces), '');
});

test('on a host that does not forward, auto means user and kernel does not start', { skip }, async () => {
  using spaces = new Namespaces();
  spaces.run(spaces.mf, 'sysctl', '-qw', 'net.ipv4.ip_forward=0');
  const { child, log } = await startMf(spaces, {});
  const told = log.find(({ datagramPath }) => datagramPath);
  assert.deepEqual([told?.datagramPath, told?.because], ['user', 'net.ipv4.ip_forward is 0']);
  assert.equal(tables(spaces), '');
  const left = once(child, 'exit');
  child.kill('SIGTERM');
  await left;
  const refused = await startMf(spaces, { datagramPath: 'kernel' });
  assert.equal(refused.child.exitCode, 64);
});
