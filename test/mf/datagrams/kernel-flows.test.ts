import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger as log } from '../../../src/base/log.ts';
import { KernelFlows } from '../../../src/mf/datagrams/kernel-flows.ts';
import { nft } from '../../../src/mf/datagrams/nft.ts';
import type { Command } from '../../../src/mf/datagrams/program.ts';
import type { FlowOptions } from '../../../src/mf/engine/types.ts';
import { workerMissing } from '../../native/rig.ts';
import { Namespaces, namespacesMissing } from './namespaces.ts';
import { connect, echo, flow, TABLE, V4, V6, WAYS, World } from './world.ts';

for (const [kind, way, wayMissing] of WAYS) {
  const skip = namespacesMissing || workerMissing || wayMissing;

  for (const [name, addresses] of [
    ['IPv4', V4],
    ['IPv6', V6],
  ] as const) {
    // conformance: R10 — anchored e2e datagrams forwarded by the kernel, byte for byte
    test(`${kind}, ${name}: a transfer is equal, counted, and passes no worker`, { skip }, async () => {
      await using world = await World.start(way);
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
  test(`${kind}: the kernel takes DTLS of the two far ends and nothing else; STUN is still answered`, {
    skip,
  }, async () => {
    await using world = await World.start(way);
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

  test(`${kind}: a far end that is named later, then moves, then is taken away`, { skip }, async () => {
    await using world = await World.start(way);
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

  test(`${kind}: what the kernel cannot do goes through the worker`, { skip }, async () => {
    await using world = await World.start(way);
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
    // The same two far ends again: routed, whose port would answer? A port of ours tells them apart where they come in.
    assert.equal(await path('two', {}), kind === 'routed' ? 'user' : 'kernel');
    assert.equal(world.kernel.size, kind === 'routed' ? 1 : 2);
  });

  test(`${kind}: somebody flushes the ruleset: the table comes back with the next change, complete`, {
    skip,
  }, async () => {
    await using world = await World.start(way);
    await flow(world, 'first', V4);
    world.spaces.run(world.spaces.mf, 'nft', 'flush', 'ruleset');
    const { a, b, ends } = await flow(world, 'second', V4);
    assert.equal(world.ruleset().match(/counter packets/g)?.length, 4);
    await connect(world, 'second', a, b, ends);
    assert.equal((await world.mf.stats(['second'])).associations[0]!.datagramsReceived, 0);
  });

  test(`${kind}: the end of a worker takes its flows out of the kernel; the end of the engine takes the table`, {
    skip,
  }, async () => {
    await using world = await World.start(way);
    await flow(world, 'f', V4);
    const lost = world.mf.next('lost');
    process.kill((await world.mf.stats([])).workers[0]!.pid, 'SIGKILL');
    await lost;
    while (world.kernel.size > 0) await world.kernel.counters();
    await world.mf.close();
    assert.equal(world.ruleset(), '');
  });

  test(`${kind}: what a dead MF has left, of either kind, is gone when the next one starts`, { skip }, async () => {
    using spaces = new Namespaces();
    const command: Command = [...Namespaces.in(spaces.mf), 'nft'];
    for (const family of ['inet', 'netdev']) {
      const stale = `table ${family} ${TABLE} { set flow4 { type ipv4_addr; elements = { 192.0.2.77 }; }; }`;
      await nft(command, ['-f', '-'], stale);
    }
    const forwarding = way(spaces);
    const kernel = await KernelFlows.start({ table: TABLE, log, nft: command, forwarding });
    const tables = () => spaces.run(spaces.mf, 'nft', 'list', 'tables');
    assert.equal(tables(), `table ${forwarding.family} ${TABLE}\n`);
    assert.doesNotMatch(spaces.run(spaces.mf, 'nft', 'list', 'ruleset'), /192\.0\.2\.77/);
    await kernel.close();
    assert.equal(tables(), '');
  });
}
