import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import type { MediaContext } from '../../../src/services/nmf-mrm.ts';
import { workerMissing } from '../../native/rig.ts';
import { context, endpoint, relayMedia } from '../rig.ts';
import { Namespaces, namespacesMissing } from './namespaces.ts';
import { ruleMissing } from './world.ts';

const skip = namespacesMissing || workerMissing;
const UDP_SEND = join(import.meta.dirname, 'udp-send.mjs');
const MRM_REQUEST = join(import.meta.dirname, 'mrm-request.mjs');
const MAIN = join(import.meta.dirname, '../../../src/cli/main.ts');

/** `imsdc mf` on the MF's host. */
async function startMf(
  spaces: Namespaces,
  mf: object,
): Promise<{ child: ChildProcess; log: Record<string, unknown>[]; ready: Record<string, unknown> }> {
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
  const [ready] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [Record<string, unknown>];
  rmSync(directory, { recursive: true });
  return { child, log, ready };
}

/** Nmf_MRM of the MF in `spaces.mf`, on its loopback. */
function request(spaces: Namespaces, port: number, method: string, path: string, body?: object) {
  const [file, ...first] = Namespaces.in(spaces.mf);
  const words = [...first, process.execPath, MRM_REQUEST, String(port), method, `/nmf-mrm/v1/contexts${path}`];
  const answer = execFileSync(file, words, { encoding: 'utf8', input: body ? JSON.stringify(body) : '' });
  const [status, json] = answer.split('\n');
  return {
    status: Number(status),
    body: json ? (JSON.parse(json) as MediaContext & { contextId: string }) : undefined,
  };
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

// conformance: TS 29.176 5.2.2.2 — UDP_PROXY in two terminations becomes a flow, forwarded by the kernel where it can (R3, R10)
test('with auto, a context of Nmf_MRM that relays datagrams is forwarded by the kernel, and gone after DELETE', {
  skip,
}, async (t) => {
  using spaces = new Namespaces();
  const { child, ready } = await startMf(spaces, { media: { bindAddress: '10.77.1.1' } });
  t.after(() => child.kill('SIGKILL'));
  const port = Number(new URL(String(ready.mrm)).port);
  const leg = (address: string) =>
    relayMedia('m1', 1_000, {
      remoteMbEndpoint: endpoint(5_000, address),
      dcMedia: { mediaProxyConfig: 'UDP_PROXY', streams: { 1000: { streamId: 1_000, subprotocol: 'app' } } },
    });
  const created = request(
    spaces,
    port,
    'POST',
    '',
    context({ served: [leg('10.77.1.2')], remote: [leg('10.77.2.2')] }),
  );
  assert.equal(created.status, 201);
  const local = created.body!.terminations[0]!.medias[0]!.localMbEndpoint!.portNumber;
  const ruleset = () => spaces.run(spaces.mf, 'nft', 'list', 'ruleset');
  // The worker forwards until the element is in, off the path of the call.
  while (!ruleset().includes(`10.77.1.2 . 5000 . 10.77.1.1 . ${local}`)) await new Promise(setImmediate);
  // A ClientHello's first octets, twice; the answer to the STUN request behind them says that they have been looked at.
  spaces.run(
    spaces.a,
    process.execPath,
    UDP_SEND,
    '10.77.1.2',
    '5000',
    '10.77.1.1',
    String(local),
    '16fefd00',
    '16fefd01',
  );
  assert.match(ruleset(), new RegExp(`10.77.1.2 \\. 5000 \\. 10.77.1.1 \\. ${local} counter packets 2 `));
  assert.equal(request(spaces, port, 'DELETE', `/${created.body!.contextId}`).status, 204);
  while (ruleset().includes('10.77.1.2 . 5000')) await new Promise(setImmediate);
  const left = once(child, 'exit');
  child.kill('SIGTERM');
  await left;
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

test('kernelForwarding device on a host that does not forward: what is killed leaves neither table nor process', {
  skip: skip || ruleMissing,
}, async () => {
  using spaces = new Namespaces();
  spaces.run(spaces.mf, 'sysctl', '-qw', 'net.ipv4.ip_forward=0');
  const device = { kernelForwarding: 'device' };
  const { child, log } = await startMf(spaces, device);
  const told = log.find(({ datagramPath }) => datagramPath);
  assert.deepEqual([told?.datagramPath, told?.forwarding], ['kernel', 'device']);
  assert.equal(tables(spaces), 'table netdev imsdc_mf_1_40000\n');
  const left = once(child, 'exit');
  child.kill('SIGKILL');
  await left;
  // Guard and route monitor end by themselves; they are no children of ours, so they can only be looked for.
  while (tables(spaces) !== '') await new Promise(setImmediate);
  while (execFileSync('ip', ['netns', 'pids', spaces.mf]).length > 0) await new Promise(setImmediate);

  // Back, and this time stopped.
  const second = await startMf(spaces, device);
  assert.equal(tables(spaces), 'table netdev imsdc_mf_1_40000\n');
  const stopped = once(second.child, 'exit');
  second.child.kill('SIGTERM');
  await stopped;
  assert.equal(tables(spaces), '');
  while (execFileSync('ip', ['netns', 'pids', spaces.mf]).length > 0) await new Promise(setImmediate);
});
