import { isIPv6 } from 'node:net';
import { dirname, join } from 'node:path';
import type { Logger } from '../../base/log.ts';
import { ImsdcError } from '../../errors.ts';
import { nativeWorkerFile } from '../engine/worker-command.ts';
import {
  type Element,
  type ElementCounter,
  type EndPoint,
  elementsScript,
  type Forwarding,
  type KernelFlow,
  listedCounters,
  MAX_ELEMENTS,
  type Placement,
  type Side,
} from './forwarding.ts';
import { askNextHops, IP, type NextHop, type NextHops } from './next-hops.ts';
import { type Command, runProgram } from './program.ts';
import { RouteWatch } from './route-watch.ts';

/** The chain with the rules; each device's own chain goes to it. */
const RULES = 'forward';

export interface DeviceForwardingOptions {
  readonly log: Logger;
  readonly ip?: Command;
  /** `imsdc-nft-rule`, which is built with the native worker. */
  readonly rule?: Command;
}

/**
 * From device to device, where a datagram comes in (the hook `ingress` of the family netdev), by no route and no chain of
 * the host: next hop and device of both far ends are asked of the kernel when the flow is placed, and again when routes
 * change.
 *
 * ```text
 * ingress of the device towards A    from A:a to us:1, first octet 20..63  ->  from us:2 to B:b, device towards B
 * ```
 */
export class DeviceForwarding implements Forwarding {
  readonly family = 'netdev';
  readonly #options: DeviceForwardingOptions;
  /** Index and name, as of the last answer. */
  #devices: ReadonlyMap<number, string> = new Map();
  /** Those that have a chain in the table. */
  readonly #hooked = new Set<number>();
  #watch: RouteWatch | undefined;

  constructor(options: DeviceForwardingOptions) {
    this.#options = options;
  }

  tableScript(table: string): string {
    this.#hooked.clear();
    return [
      // Whatever an MF that died has left behind.
      `add table netdev ${table}`,
      `delete table netdev ${table}`,
      `table netdev ${table} {`,
      map('4', 'ip'),
      map('6', 'ip6'),
      ` chain ${RULES} { }`,
      '}',
      '',
    ].join('\n');
  }

  /** Writes the rules: nft cannot take several fields from one look-up (native/src/nft_rule.cpp). */
  async complete(table: string): Promise<void> {
    const { rule = [ruleProgram()] } = this.#options;
    const { problem } = await runProgram(rule as Command, [table, RULES]);
    if (problem !== undefined) throw new ImsdcError('MF_NFT', { problem });
  }

  keysOf(flow: KernelFlow): readonly string[] {
    return [this.counterKey(flow, 'a'), this.counterKey(flow, 'b')];
  }

  async place(flows: readonly KernelFlow[]): Promise<readonly Placement[]> {
    if (flows.length === 0) return [];
    const questions = flows.flatMap((flow) => [questionOf(flow, 'a'), questionOf(flow, 'b')]);
    const hops = await askNextHops(this.#options.ip ?? IP, questions);
    this.#devices = hops.devices;
    // The chain of a device goes with it.
    for (const device of this.#hooked) if (!hops.devices.has(device)) this.#hooked.delete(device);
    return flows.map((flow) => placement(flow, hops));
  }

  addScript(table: string, elements: readonly Element[]): string {
    const chains = elements.map(({ key }) => this.#chainScript(table, Number.parseInt(key, 10)));
    return chains.join('') + elementsScript('add', `netdev ${table}`, elements);
  }

  /** Nothing, when the device has its chain. */
  #chainScript(table: string, device: number): string {
    const name = this.#devices.get(device);
    if (this.#hooked.has(device) || name === undefined) return '';
    this.#hooked.add(device);
    const chain = `netdev ${table} in_${device}`;
    return [
      `add chain ${chain} { type filter hook ingress device "${name}" priority 0; policy accept; }`,
      `add rule ${chain} goto ${RULES}`,
      '',
    ].join('\n');
  }

  /** Each list for itself: `list table` would have nft read the rules too. */
  listings(table: string): readonly (readonly string[])[] {
    return ['to4', 'to6'].map((name) => ['list', 'map', 'netdev', table, name]);
  }

  counterKey(flow: KernelFlow, side: Side): string {
    return keyOf(flow[side].remote, flow[side].local);
  }

  /** Without the device, which nft tells by its name, or by its index when it is gone. */
  *readCounters(json: string): Generator<readonly [string, ElementCounter]> {
    for (const [key, counter] of listedCounters(json)) yield [key.slice(1).join(' . '), counter];
  }

  watch(changed: () => Promise<void>): void {
    const { ip = IP, log } = this.#options;
    this.#watch ??= new RouteWatch({ ip, log, changed });
  }

  close(): void {
    this.#watch?.close();
  }
}

/** Built beside the worker. */
export const ruleProgram = () => join(dirname(nativeWorkerFile()), 'imsdc-nft-rule');

/**
 * A datagram has to come in by the device towards its sender, or it goes the way through the host, with its checks. The
 * two ports of an answer are written at once, so they are one value of four octets; nft has no other type for that.
 */
function map(version: string, ip: string): string {
  const key = `meta iif . udp sport . udp dport . ${ip} saddr . ${ip} daddr`;
  const value = `${ip} daddr . meta iif . ip daddr . ${ip} saddr . ${ip} daddr`;
  return ` map to${version} { typeof ${key} : ${value}; size ${MAX_ELEMENTS}; counter; }`;
}

const keyOf = (from: EndPoint, to: EndPoint) => `${from.port} . ${to.port} . ${from.address} . ${to.address}`;

/** `0.80.1.187` for 80 and 443. */
const portsOf = (...ports: readonly number[]) => ports.flatMap((port) => [port >> 8, port & 255]).join('.');

const questionOf = (flow: KernelFlow, side: Side) => ({
  destination: flow[side].remote.address,
  source: flow[side].local.address,
});

function placement(flow: KernelFlow, hops: NextHops): Placement {
  const a = hops.of(questionOf(flow, 'a'));
  const b = hops.of(questionOf(flow, 'b'));
  if (typeof a === 'string') return { refused: a };
  if (typeof b === 'string') return { refused: b };
  // Nobody would tell the sender of a datagram that is too large (RFC 1191).
  if (a.mtuBytes !== b.mtuBytes) return { refused: 'mtu' };
  return { elements: [direction(flow, 'a', 'b', a, b), direction(flow, 'b', 'a', b, a)] };
}

function direction(flow: KernelFlow, from: Side, to: Side, sender: NextHop, receiver: NextHop): Element {
  const { local, remote } = flow[to];
  return {
    map: isIPv6(remote.address) ? 'to6' : 'to4',
    key: `${sender.device} . ${keyOf(flow[from].remote, flow[from].local)}`,
    value: `${receiver.address} . ${receiver.device} . ${portsOf(local.port, remote.port)} . ${local.address} . ${remote.address}`,
  };
}
