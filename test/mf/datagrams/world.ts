import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { silentLogger as log } from '../../../src/base/log.ts';
import type { Metrics } from '../../../src/base/metrics.ts';
import { DeviceForwarding } from '../../../src/mf/datagrams/device-table.ts';
import type { Forwarding } from '../../../src/mf/datagrams/forwarding.ts';
import { KernelFlows } from '../../../src/mf/datagrams/kernel-flows.ts';
import { routedForwarding } from '../../../src/mf/datagrams/routed-table.ts';
import { EngineClient } from '../../../src/mf/engine/client.ts';
import type { FlowEndpoints, FlowOptions, LocalEndpoint } from '../../../src/mf/engine/types.ts';
import { remoteOf, stateOf, stream, WORKER } from '../../native/rig.ts';
import { certificateA, certificateB } from '../../ndc/support.ts';
import { Namespaces } from './namespaces.ts';

export const TABLE = 'imsdc_test_1';

const local = (address: string, port = 0) => ({ bindAddress: address, port, ice: false });

const RULE = join(dirname(WORKER), 'imsdc-nft-rule');
export const ruleMissing = existsSync(RULE) ? false : 'imsdc-nft-rule is not built';

type Way = (spaces: Namespaces) => Forwarding;
/** Both ways of the kernel, in the MF's namespace. */
export const WAYS: readonly (readonly [string, Way, string | false])[] = [
  ['routed', () => routedForwarding, false],
  ['device', device, ruleMissing],
];

export function device(spaces: Namespaces): DeviceForwarding {
  const inMf = Namespaces.in(spaces.mf);
  return new DeviceForwarding({ log, ip: [...inMf, 'ip'], rule: [...inMf, RULE] });
}

/** Two UEs and an MF with the kernel path, each in a namespace of its own. */
export class World implements AsyncDisposable {
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

  static async start(way: Way, metrics?: Metrics): Promise<World> {
    const spaces = new Namespaces();
    const own = new Set(['10.77.1.1', '10.77.2.1', 'fd77:1::1', 'fd77:2::1']);
    const isLocal = (address: string) => own.has(address);
    const kernel = await KernelFlows.start({
      table: TABLE,
      log,
      nft: [...Namespaces.in(spaces.mf), 'nft'],
      isLocal,
      ...(metrics && { metrics }),
      forwarding: way(spaces),
    });
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

export interface Addresses {
  readonly a: string;
  readonly mfA: string;
  readonly mfB: string;
  readonly b: string;
}
export const V4: Addresses = { a: '10.77.1.2', mfA: '10.77.1.1', mfB: '10.77.2.1', b: '10.77.2.2' };
export const V6: Addresses = { a: 'fd77:1::2', mfA: 'fd77:1::1', mfB: 'fd77:2::1', b: 'fd77:2::2' };

/** A flow `key` between reserved UEs `key` in A and B. */
export async function flow(world: World, key: string, addresses: Addresses, more: Partial<FlowOptions> = {}) {
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
export async function connect(
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
export async function echo(world: World, key: string, total: number): Promise<{ sent: string; received: string }> {
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
