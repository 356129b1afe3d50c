import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { silentLogger as log } from '../../../src/base/log.ts';
import { KernelFlows } from '../../../src/mf/datagrams/kernel-flows.ts';
import { nft } from '../../../src/mf/datagrams/nft.ts';
import { EngineClient } from '../../../src/mf/engine/client.ts';
import type { FlowEndpoints, FlowOptions, LocalEndpoint } from '../../../src/mf/engine/types.ts';
import { remoteOf, stateOf, stream, WORKER, workerMissing } from '../../native/rig.ts';
import { certificateA, certificateB } from '../../ndc/support.ts';
import { Namespaces, namespacesMissing } from './namespaces.ts';

const skip = namespacesMissing || workerMissing;
const TABLE = 'imsdc_test_1';
const SECOND = 'fd77:2::2';
const local = (address: string, port = 0) => ({ bindAddress: address, port, ice: false });

/** Two UEs and an MF with the kernel path, each in a namespace of its own. */
class World implements AsyncDisposable {
  readonly spaces: Namespaces;
  readonly kernel: KernelFlows;
  readonly mf: EngineClient;
  readonly a: EngineClient;
  readonly b: EngineClient;

  private constructor(spaces: Namespaces, kernel: KernelFlows, engines: readonly EngineClient[]) {
    this.spaces = spaces;
    this.kernel = kernel;
    [this.mf, this.a, this.b] = engines as [EngineClient, EngineClient, EngineClient];
  }

  static async start(): Promise<World> {
    const spaces = new Namespaces();
    const own = new Set(['10.77.1.1', '10.77.2.1', 'fd77:1::1', 'fd77:2::1']);
    const isLocal = (address: string) => own.has(address);
    const kernel = await KernelFlows.start({ table: TABLE, log, nft: [...Namespaces.in(spaces.mf), 'nft'], isLocal });
    const engine = (name: string, certificate: typeof certificateA, datagrams?: KernelFlows) => {
      const [file, ...args] = Namespaces.in(name);
      return EngineClient.start({ command: { file, args: [...args, WORKER] }, ...certificate, log, datagrams });
    };
    const engines = await Promise.all([
      engine(spaces.mf, certificateA, kernel),
      engine(spaces.a, certificateA),
      engine(spaces.b, certificateB),
    ]);
    return new World(spaces, kernel, engines);
  }

  /** The ruleset of the MF's host. */
  ruleset(): string {
    return this.spaces.run(this.spaces.mf, 'nft', 'list', 'ruleset');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.a.close(), this.b.close(), this.mf.close()]);
    this.spaces[Symbol.dispose]();
  }
}

interface Addresses {
  readonly a: string;
  readonly mfA: string;
  readonly mfB: string;
  readonly b: string;
}
const V4: Addresses = { a: '10.77.1.2', mfA: '10.77.1.1', mfB: '10.77.2.1', b: '10.77.2.2' };
const V6: Addresses = { a: 'fd77:1::2', mfA: 'fd77:1::1', mfB: 'fd77:2::1', b: SECOND };

/** A flow `key` between reserved UEs `key` in A and B. */
async function flow(world: World, key: string, addresses: Addresses, more: Partial<FlowOptions> = {}) {
  const [a, b] = await Promise.all([
    world.a.reserve(key, key, local(addresses.a)),
    world.b.reserve(key, key, local(addresses.b)),
  ]);
  const ends = await world.mf.flow(key, key, {
    a: { bindAddress: addresses.mfA, port: 0, remote: { address: a.address, port: a.port } },
    b: { bindAddress: addresses.mfB, port: 0, remote: { address: b.address, port: b.port } },
    ...more,
  });
  return { a, b, ends };
}

/** DTLS and SCTP between the UEs `key`, through the flow; every message of A comes back from B. */
async function connect(
  world: World,
  key: string,
  a: LocalEndpoint,
  b: LocalEndpoint,
  ends: FlowEndpoints,
): Promise<void> {
  await Promise.all([world.a.setStreams(key, [stream(0)]), world.b.setStreams(key, [stream(0)])]);
  const both = Promise.all([stateOf(world.a, key, 'connected'), stateOf(world.b, key, 'connected')]);
  await world.b.route({ key, streamId: 0 }, { kind: 'stream', to: { key, streamId: 0 } });
  await world.b.start(key, remoteOf({ ...a, ...ends.b }, { role: 'passive' }));
  await world.a.start(key, remoteOf({ ...b, ...ends.a }, { role: 'active' }));
  await both;
}

/** Sends `total` bytes from A over `key`; the hashes of what went and of what came back. */
async function echo(world: World, key: string, total: number): Promise<{ sent: string; received: string }> {
  const port = world.a.payload({ key, streamId: 0 }, 1 << 22);
  const [sent, received] = [createHash('sha256'), createHash('sha256')];
  await world.a.route({ key, streamId: 0 }, { kind: 'payload' });
  let arrived = 0;
  const complete = Promise.withResolvers<void>();
  port.onMessage = (message) => {
    received.update(message);
    port.grant(message.length + 16);
    if ((arrived += message.length) >= total) complete.resolve();
  };
  for (let at = 0; at < total; at += 16_384) {
    const message = randomBytes(Math.min(16_384, total - at));
    while (!port.send(message, 'binary')) await new Promise<void>((resolve) => (port.onWritable = resolve));
    sent.update(message);
  }
  await complete.promise;
  return { sent: sent.digest('hex'), received: received.digest('hex') };
}

for (const [name, addresses] of [
  ['IPv4', V4],
  ['IPv6', V6],
] as const) {
  // conformance: R10 — anchored e2e datagrams forwarded by the kernel, byte for byte
  test(`kernel forwarding, ${name}: a transfer is equal, counted, and passes no worker`, { skip }, async () => {
    await using world = await World.start();
    const { a, b, ends } = await flow(world, 'f', addresses);
    assert.equal(ends.path, 'kernel');
    await connect(world, 'f', a, b, ends);
    const total = 4 << 20;
    const { sent, received } = await echo(world, 'f', total);
    assert.equal(received, sent);
    const [figures] = (await world.mf.stats(['f'])).associations;
    assert.equal(figures!.datagramsReceived, 0);
    const [sideA, sideB] = figures!.streams;
    assert.ok(sideA!.bytesReceived > total && sideB!.bytesReceived > total);
    assert.equal(sideA!.bytesReceived, sideB!.bytesSent);
    assert.match(world.ruleset(), new RegExp(`${a.port} \\. .* counter packets`));
    const counters = await world.mf.release('f');
    assert.ok(counters.bytesReceived >= figures!.bytesReceived);
    assert.equal(counters.messagesSent, counters.messagesReceived);
    assert.doesNotMatch(world.ruleset(), new RegExp(`${a.port}`));
    assert.equal(world.kernel.size, 0);
  });
}

// conformance: R10 — only first octets 20..63 of the SDP's address pass; STUN is answered per leg
test('the kernel takes DTLS of the two far ends and nothing else; STUN is still answered', { skip }, async () => {
  await using world = await World.start();
  const port = 5_004;
  const { a } = await world.mf.flow('f', 'f', {
    a: { bindAddress: V4.mfA, port: 0, remote: { address: V4.a, port } },
    b: { bindAddress: V4.mfB, port: 0, remote: { address: V4.b, port: 5_006 } },
  });
  const send = (from: number, ...datagrams: string[]) => {
    const script = new URL('udp-send.mjs', import.meta.url).pathname;
    const words = [V4.a, String(from), V4.mfA, String(a.port), ...datagrams];
    return world.spaces.run(world.spaces.a, process.execPath, script, ...words);
  };
  // 19, 64 and 128 are nobody's, 20, 22 and 63 are DTLS (RFC 7983).
  assert.match(send(port, '1300', '1400', '1600', '3f00', '4000', '8000'), /^0101/);
  assert.match(send(port + 1, '1600'), /^0101/);
  const [figures] = (await world.mf.stats(['f'])).associations;
  const [sideA, sideB] = figures!.streams;
  assert.deepEqual([sideA!.messagesReceived, sideA!.bytesReceived, sideA!.dropped], [3, 6, 4]);
  assert.equal(sideB!.messagesSent, 3);
});

test('a far end that is named later, then moves, then is taken away', { skip }, async () => {
  await using world = await World.start();
  const side = (bindAddress: string, port?: number, address?: string) => ({
    bindAddress,
    port: 0,
    ...(port && address ? { remote: { address, port } } : {}),
  });
  const ends = await world.mf.flow('f', 'f', { a: side(V4.mfA, 5_004, V4.a), b: side(V4.mfB) });
  assert.deepEqual([ends.path, world.kernel.size], ['kernel', 0]);
  await world.mf.updateFlow('f', { b: side(V4.mfB, 6_004, V4.b) });
  assert.match(world.ruleset(), /6004/);
  await world.mf.updateFlow('f', { b: side(V4.mfB, 6_008, V4.b) });
  assert.match(world.ruleset(), /6008/);
  assert.doesNotMatch(world.ruleset(), /6004/);
  await world.mf.updateFlow('f', { b: side(V4.mfB) });
  assert.doesNotMatch(world.ruleset(), /6008/);
});

test('what the kernel cannot do goes through the worker', { skip }, async () => {
  await using world = await World.start();
  const options = (more: Partial<FlowOptions>): FlowOptions => ({
    a: { bindAddress: V4.mfA, port: 0, remote: { address: V4.a, port: 5_004 } },
    b: { bindAddress: V4.mfB, port: 0, remote: { address: V4.b, port: 5_006 } },
    ...more,
  });
  const path = async (key: string, more: Partial<FlowOptions>) => (await world.mf.flow(key, key, options(more))).path;
  assert.equal(await path('ice', { ice: true }), 'user');
  assert.equal(await path('user', { path: 'user' }), 'user');
  // A far end on this host never passes postrouting.
  assert.equal(
    await path('own', { b: { bindAddress: V4.mfB, port: 0, remote: { address: V4.mfB, port: 1 } } }),
    'user',
  );
  assert.equal(await path('one', {}), 'kernel');
  // The same two far ends again: whose port would answer?
  assert.equal(await path('two', {}), 'user');
  assert.equal(world.kernel.size, 1);
});

test('somebody flushes the ruleset: the table comes back with the next change, complete', { skip }, async () => {
  await using world = await World.start();
  await flow(world, 'first', V4);
  world.spaces.run(world.spaces.mf, 'nft', 'flush', 'ruleset');
  const { a, b, ends } = await flow(world, 'second', V4);
  assert.equal(world.ruleset().match(/counter packets/g)?.length, 4);
  await connect(world, 'second', a, b, ends);
  assert.equal((await world.mf.stats(['second'])).associations[0]!.datagramsReceived, 0);
});

test('the end of a worker takes its flows out of the kernel; the end of the engine takes the table', {
  skip,
}, async () => {
  await using world = await World.start();
  await flow(world, 'f', V4);
  const lost = world.mf.next('lost');
  process.kill((await world.mf.stats([])).workers[0]!.pid, 'SIGKILL');
  await lost;
  await world.kernel.counters();
  await world.kernel.set(
    'sentinel',
    { a: { bindAddress: '', port: 0 }, b: { bindAddress: '', port: 0 } },
    { a: { address: V4.mfA, port: 1 }, b: { address: V4.mfB, port: 2 } },
  );
  assert.equal(world.kernel.size, 0);
  await world.mf.close();
  assert.equal(world.ruleset(), '');
});

test('what a dead MF has left is gone when the next one starts', { skip }, async () => {
  using spaces = new Namespaces();
  const command = [...Namespaces.in(spaces.mf), 'nft'] as const;
  const stale = `table inet ${TABLE} { set flow4 { type ipv4_addr; elements = { 192.0.2.77 }; }; }`;
  await nft(command as never, ['-f', '-'], stale);
  const kernel = await KernelFlows.start({ table: TABLE, log, nft: command as never });
  const ruleset = spaces.run(spaces.mf, 'nft', 'list', 'ruleset');
  assert.doesNotMatch(ruleset, /192\.0\.2\.77/);
  assert.match(ruleset, /chain in/);
  await kernel.close();
});
