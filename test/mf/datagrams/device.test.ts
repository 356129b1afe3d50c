import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Metrics } from '../../../src/base/metrics.ts';
import { statsTable } from '../../../src/cli/mf-stats.ts';
import type { FlowEndpoints, FlowOptions } from '../../../src/mf/engine/types.ts';
import { workerMissing } from '../../native/rig.ts';
import { Namespaces, namespacesMissing } from './namespaces.ts';
import { type Addresses, device, ruleMissing, V4, V6, WAYS, World } from './world.ts';

const skip = namespacesMissing || workerMissing || ruleMissing;
const perlMissing = spawnSync('perl', ['-MSocket', '-e', '1']).status === 0 ? false : 'perl is not installed';

const [PORT_A, PORT_B] = [5_004, 5_006];
/** Behind B, which is its router. */
const BEHIND_B = '10.99.0.5';
const script = (name: string) => join(import.meta.dirname, name);

const between = ({ a, mfA, mfB, b }: Addresses): FlowOptions => ({
  a: { bindAddress: mfA, port: 0, remote: { address: a, port: PORT_A } },
  b: { bindAddress: mfB, port: 0, remote: { address: b, port: PORT_B } },
});

/** From A, or `from`, to the MF's end of side a. */
function send(world: World, ends: FlowEndpoints, from: string, ...datagrams: readonly string[]): void {
  const words = [script('udp-raw.pl'), from, String(PORT_A), ends.a.address, String(ends.a.port), ...datagrams];
  world.spaces.run(world.spaces.a, 'perl', ...words);
}

/** What arrives at `address` in the namespace `space`: `SOURCE PORT HEX` each. */
async function receive(space: string, address: string, count: number): Promise<{ all: Promise<string[]> }> {
  const [file, ...first] = Namespaces.in(space);
  const words = [...first, process.execPath, script('udp-receive.mjs'), address, String(PORT_B), String(count)];
  const child = spawn(file, words, { stdio: ['ignore', 'pipe', 'inherit'], timeout: 60_000 });
  const lines = createInterface({ input: child.stdout });
  const got: string[] = [];
  const ready = once(lines, 'line');
  const ended = once(lines, 'close');
  await ready;
  lines.on('line', (line) => got.push(line));
  return { all: ended.then(() => got) };
}

/** Datagrams that the kernel has forwarded, by side. */
async function forwarded(world: World): Promise<readonly [number, number]> {
  const counters = (await world.kernel.counters()).get('f')!;
  return [counters.a.datagrams, counters.b.datagrams];
}

/** The table changes when the kernel has told of the routes; there is nothing else to wait for. */
async function until({ signal }: { readonly signal: AbortSignal }, met: () => boolean): Promise<void> {
  while (!met()) {
    signal.throwIfAborted();
    await setImmediate();
  }
}

for (const [name, addresses] of [
  ['IPv4', V4],
  ['IPv6', V6],
] as const) {
  // conformance: R10 — forwarded from device to device: checksums are right, the hop limit counts
  test(`device, ${name}: the receiver finds the checksum right and one hop less`, {
    skip: skip || perlMissing,
  }, async () => {
    await using world = await World.start(device);
    const ends = await world.mf.flow('f', 'f', between(addresses));
    const hops = addresses === V4 ? 'ip ttl' : 'ip6 hoplimit';
    world.spaces.run(
      world.spaces.b,
      'nft',
      `add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in udp dport ${PORT_B} ${hops} 63 counter`,
    );
    const { all } = await receive(world.spaces.b, addresses.b, 3);
    send(world, ends, addresses.a, 'software:1600', 'last:16ff', 'software:3f01020304', 'software:1401ff');
    const from = `${ends.b.address} ${ends.b.port}`;
    assert.deepEqual(await all, [`${from} 1600`, `${from} 3f01020304`, `${from} 1401ff`]);
    assert.deepEqual(await forwarded(world), [4, 0]);
    assert.match(world.spaces.run(world.spaces.b, 'nft', 'list', 'table', 'inet', 't'), /63 counter packets 3 /);
  });
}

for (const [kind, way, wayMissing] of WAYS) {
  test(`${kind}: a datagram without a checksum goes through the worker, which gives it one`, {
    skip: skip || perlMissing || wayMissing,
  }, async () => {
    await using world = await World.start(way);
    const ends = await world.mf.flow('f', 'f', between(V4));
    const { all } = await receive(world.spaces.b, V4.b, 1);
    send(world, ends, V4.a, 'none:1600');
    assert.deepEqual(await all, [`${ends.b.address} ${ends.b.port} 1600`]);
    assert.deepEqual(await forwarded(world), [0, 0]);
  });
}

// conformance: R10 — the source is the SDP's, and where it comes in is the way back to it
test("device: what comes in by another device under A's address is not forwarded by the kernel", { skip }, async () => {
  await using world = await World.start(device);
  const { spaces, mf } = world;
  const ends = await mf.flow('f', 'f', between(V4));
  spaces.run(spaces.b, 'ip', 'address', 'add', `${V4.a}/32`, 'dev', 'lo');
  // Its last one asks with B's own address, and has an answer: the first has been looked at by then.
  const words = [process.execPath, script('udp-send.mjs')];
  const spoofed = spawnSync(
    'ip',
    [
      ...Namespaces.in(spaces.b).slice(1),
      ...['perl', script('udp-raw.pl'), V4.a, String(PORT_A), ends.a.address, String(ends.a.port), 'plain:1600'],
    ],
    { encoding: 'utf8' },
  );
  assert.equal(spoofed.stderr, '');
  assert.match(spaces.run(spaces.b, ...words, V4.b, '5008', ends.b.address, String(ends.b.port)), /^0101/);
  assert.deepEqual(await forwarded(world), [0, 0]);
});

test('device: both far ends behind the same device', { skip: skip || perlMissing }, async () => {
  await using world = await World.start(device);
  const ends = await world.mf.flow('f', 'f', between({ ...V4, mfB: V4.mfA, b: V4.a }));
  const { all } = await receive(world.spaces.a, V4.a, 1);
  send(world, ends, V4.a, 'software:1601');
  assert.deepEqual(await all, [`${ends.b.address} ${ends.b.port} 1601`]);
  assert.deepEqual(await forwarded(world), [1, 0]);
});

test('device: a flow follows the routes, is given back to its worker without one, and keeps its counters', {
  skip: skip || perlMissing,
}, async (t) => {
  const metrics = new Metrics();
  await using world = await World.start(device, metrics);
  const { spaces, mf } = world;
  const refused = (reason: string) => {
    const entry = metrics.entries.get('imsdc_mf_kernel_flows_refused');
    return entry?.type === 'gaugeBy' ? entry.read()[reason] : undefined;
  };
  const route = (verb: string, ...via: string[]) => spaces.run(spaces.mf, 'ip', 'route', verb, '10.99.0.0/24', ...via);
  spaces.run(spaces.b, 'ip', 'address', 'add', `${BEHIND_B}/32`, 'dev', 'lo');

  const ends = await mf.flow('f', 'f', between({ ...V4, b: BEHIND_B }));
  assert.deepEqual([ends.path, refused('route')], ['user', 1]);
  const stats = async () => statsTable((await mf.stats(['f'])).associations);
  assert.match(await stats(), /^f +flow \(route\) /m);
  route('add', 'via', V4.b);
  await until(t, () => refused('route') === 0);
  await until(t, () => world.ruleset().includes(`${V4.b} . "eth2"`));
  assert.match(await stats(), /^f +flow kernel /m);
  const { all } = await receive(spaces.b, BEHIND_B, 1);
  send(world, ends, V4.a, 'software:1602');
  assert.equal((await all).length, 1);

  route('replace', 'via', V4.a);
  await until(
    t,
    () => world.ruleset().includes(`${V4.a} . "eth1" . `) && !world.ruleset().includes(`${V4.b} . "eth2"`),
  );
  assert.deepEqual(await forwarded(world), [1, 0]);

  route('replace', 'via', V4.b);
  await until(t, () => world.ruleset().includes(`${V4.b} . "eth2"`));
  spaces.run(spaces.mf, 'ip', 'link', 'set', 'eth2', 'mtu', '1400');
  await until(t, () => refused('mtu') === 1);
  spaces.run(spaces.mf, 'ip', 'link', 'del', 'eth2');
  await until(t, () => refused('route') === 1);
  assert.equal(world.kernel.size, 0);
  const counters = await mf.release('f');
  assert.deepEqual([counters.messagesReceived, refused('route')], [1, 0]);
  // What is left of the host goes on.
  assert.equal((await mf.flow('g', 'g', between({ ...V4, mfB: V4.mfA, b: V4.a }))).path, 'kernel');
  assert.equal(metrics.counter('imsdc_mf_kernel_failures_total', '').value, 0);
});
