import type { ChildProcess } from 'node:child_process';
import { isIPv6 } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../../base/log.ts';
import type { Counter, Metrics } from '../../base/metrics.ts';
import type { DatagramPath, FlowCounters } from '../engine/datagram-path.ts';
import type { FlowEndpoints, FlowOptions, FlowWay } from '../engine/types.ts';
import { isOwnAddress, isUnspecified } from './addresses.ts';
import { countersOf, NO_COUNTERS, sum } from './flow-counters.ts';
import {
  countRefusals,
  type Element,
  type ElementCounter,
  elementsScript,
  type Forwarding,
  type KernelFlow,
  MAX_KERNEL_FLOWS,
  type Placement,
  type Refusal,
} from './forwarding.ts';
import { endGuard, startGuard } from './guard.ts';
import { NFT, nft, tableHandle } from './nft.ts';
import { type Command, runProgram } from './program.ts';
import { routedForwarding } from './routed-table.ts';

export interface KernelFlowsOptions {
  /** Name of our nftables table; only one MF may use it. */
  readonly table: string;
  readonly log: Logger;
  readonly metrics?: Metrics;
  readonly nft?: Command;
  /** Default: routed. */
  readonly forwarding?: Forwarding;
  /** Whether the host forwards IPv6. Default true. */
  readonly ipv6?: boolean;
  /** Addresses of this host: what is for them never passes postrouting. */
  readonly isLocal?: (address: string) => boolean;
}

interface Held {
  /** To be in the table. Undefined: a far end is not known yet, or the worker has to forward. */
  flow: KernelFlow | undefined;
  /** Of flows that this one has replaced. */
  before: FlowCounters;
}

/** One change of the table; the next run of nft takes all that wait. The same flow twice: place it anew. */
interface Change {
  readonly remove: KernelFlow | undefined;
  readonly add: KernelFlow | undefined;
  done(removed: FlowCounters): void;
}

/**
 * Datagrams of e2e flows forwarded by the kernel: elements of an nftables table of our own, one transaction for all
 * changes that wait. A guard process removes the table when the MF ends, however it ends.
 */
export class KernelFlows implements DatagramPath {
  readonly #options: KernelFlowsOptions;
  readonly #nft: Command;
  readonly #forwarding: Forwarding;
  readonly #held = new Map<string, Held>();
  /** Every key of a flow that is held, so that two flows never fight for one. */
  readonly #taken = new Set<string>();
  /** What the table has, or will have when the change that runs is done. */
  readonly #placed = new Map<KernelFlow, readonly Element[]>();
  readonly #refused = new Map<KernelFlow, Refusal>();
  readonly #failures: Counter | undefined;
  #waiting: Change[] = [];
  #running: Promise<void> | null = null;
  #guard: ChildProcess | null = null;
  /** nftables does not take our changes any more: everything goes through user space. */
  #broken = false;

  private constructor(options: KernelFlowsOptions) {
    this.#options = options;
    this.#nft = options.nft ?? NFT;
    this.#forwarding = options.forwarding ?? routedForwarding;
    this.#failures = options.metrics?.counter('imsdc_mf_kernel_failures_total', 'nftables did not take a change');
    options.metrics?.gauge('imsdc_mf_kernel_flows', 'Flows forwarded by the kernel', () => this.size);
    options.metrics?.gaugeBy(
      'imsdc_mf_kernel_flows_refused',
      'Flows that the kernel cannot forward from device to device',
      'reason',
      () => countRefusals(this.#refused.values()),
    );
  }

  /** Rejects with MF_NFT when the table cannot be made. */
  static async start(options: KernelFlowsOptions): Promise<KernelFlows> {
    const flows = new KernelFlows(options);
    // An MF that died may have forwarded the other way.
    const former = flows.#forwarding.family === 'inet' ? 'netdev' : 'inet';
    await runProgram(flows.#nft, ['delete', 'table', former, options.table]);
    try {
      await flows.#create();
    } catch (error) {
      await flows.close();
      throw error;
    }
    flows.#forwarding.watch(() => flows.#placeAnew());
    return flows;
  }

  /** Flows in the table. */
  get size(): number {
    return this.#placed.size;
  }

  async set(key: string, options: FlowOptions, ends: FlowEndpoints): Promise<'user' | 'kernel'> {
    const held = this.#held.get(key) ?? { flow: undefined, before: NO_COUNTERS };
    this.#held.set(key, held);
    const flow = this.#kernelFlow(options, ends);
    if (held.flow && isDeepStrictEqual(flow, held.flow)) return this.#refused.has(held.flow) ? 'user' : 'kernel';
    const add = flow === 'later' || flow === 'never' ? undefined : this.#claim(flow, held.flow);
    const remove = held.flow;
    if (remove && !add) this.#free(remove);
    held.flow = add;
    if (remove || add) held.before = sum(held.before, await this.#change(remove, add));
    return flow === 'later' || (add && this.#placed.has(add)) ? 'kernel' : 'user';
  }

  async remove(key: string): Promise<FlowCounters | undefined> {
    const held = this.#held.get(key);
    if (!held) return undefined;
    this.#held.delete(key);
    const { flow } = held;
    if (!flow) return held.before;
    this.#free(flow);
    return sum(held.before, await this.#change(flow, undefined));
  }

  async counters(): Promise<ReadonlyMap<string, FlowCounters>> {
    const listed = this.size > 0 ? await this.#list() : new Map<string, ElementCounter>();
    const counters = new Map<string, FlowCounters>();
    for (const [key, { flow, before }] of this.#held) {
      counters.set(key, flow ? sum(before, countersOf(this.#forwarding, flow, listed)) : before);
    }
    return counters;
  }

  wayOf(key: string): FlowWay {
    const flow = this.#held.get(key)?.flow;
    const refused = flow && this.#refused.get(flow);
    return { path: flow && this.#placed.has(flow) ? 'kernel' : 'user', ...(refused && { refused }) };
  }

  async close(): Promise<void> {
    this.#forwarding.close();
    await this.#running;
    await endGuard(this.#guard);
  }

  #kernelFlow({ a, b, ice, natLatch }: FlowOptions, ends: FlowEndpoints): KernelFlow | 'later' | 'never' {
    // With ICE or behind a NAT the far end may be elsewhere than SDP says; only the worker sees where.
    if (this.#broken || ice || natLatch || this.#held.size > MAX_KERNEL_FLOWS) return 'never';
    const isLocal = this.#options.isLocal ?? isOwnAddress;
    const addresses = [ends.a, ends.b, a.remote, b.remote].flatMap((end) => (end ? [end.address] : []));
    if (addresses.some(isUnspecified) || [a.remote, b.remote].some((end) => end && isLocal(end.address)))
      return 'never';
    const families = new Set(addresses.map(isIPv6));
    if (families.size > 1 || (families.has(true) && this.#options.ipv6 === false)) return 'never';
    if (!a.remote || !b.remote) return 'later';
    return { a: { local: ends.a, remote: a.remote }, b: { local: ends.b, remote: b.remote } };
  }

  /** Undefined: another flow already has one of its keys (two flows of the same far ends). */
  #claim(flow: KernelFlow, replaced: KernelFlow | undefined): KernelFlow | undefined {
    if (replaced) this.#free(replaced);
    const keys = this.#forwarding.keysOf(flow);
    if (keys.some((key) => this.#taken.has(key))) return undefined;
    for (const key of keys) this.#taken.add(key);
    return flow;
  }

  #free(flow: KernelFlow): void {
    for (const key of this.#forwarding.keysOf(flow)) this.#taken.delete(key);
  }

  /** Routes or devices have changed. */
  async #placeAnew(): Promise<void> {
    if (this.#broken) return;
    await Promise.all(
      [...this.#held.values()].map(async (held) => {
        const { flow } = held;
        if (flow) held.before = sum(held.before, await this.#change(flow, flow));
      }),
    );
  }

  /** Resolves when the kernel has it, with what the removed flow has carried. */
  #change(remove: KernelFlow | undefined, add: KernelFlow | undefined): Promise<FlowCounters> {
    return new Promise((done) => {
      this.#waiting.push({ remove, add, done });
      this.#running ??= this.#run().finally(() => {
        this.#running = null;
      });
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const changes = this.#waiting;
      this.#waiting = [];
      const { script, removed } = await this.#script(changes);
      const listed = removed.size > 0 ? await this.#list() : new Map<string, ElementCounter>();
      if (!this.#broken && script !== '') await this.#apply(script);
      for (const change of changes) {
        const { remove, done } = change;
        done(remove && removed.get(remove) === change ? countersOf(this.#forwarding, remove, listed) : NO_COUNTERS);
      }
    }
  }

  /** The transaction, and which change takes a flow, with its counters, out of the table. */
  async #script(changes: readonly Change[]): Promise<{ script: string; removed: Map<KernelFlow, Change> }> {
    const { table } = this.#options;
    const flows = changes.flatMap(({ add }) => add ?? []);
    const placements = await this.#forwarding.place(flows);
    const placed = new Map(flows.map((flow, index) => [flow, placements[index]!]));
    const removed = new Map<KernelFlow, Change>();
    let script = '';
    for (const change of changes) {
      const { remove, add } = change;
      const placement = add && placed.get(add)!;
      const elements = remove && this.#placed.get(remove);
      if (remove === add && elements && isDeepStrictEqual(elements, placement && elementsIn(placement))) continue;
      if (remove) {
        this.#forget(remove);
        if (elements) removed.set(remove, change);
        script += elementsScript('delete', `${this.#forwarding.family} ${table}`, elements ?? []);
      }
      if (add && placement) script += this.#place(add, placement);
    }
    return { script, removed };
  }

  #place(flow: KernelFlow, placement: Placement): string {
    this.#forget(flow);
    if ('refused' in placement) {
      this.#refused.set(flow, placement.refused);
      return '';
    }
    this.#placed.set(flow, placement.elements);
    return this.#forwarding.addScript(this.#options.table, placement.elements);
  }

  #forget(flow: KernelFlow): void {
    this.#placed.delete(flow);
    this.#refused.delete(flow);
  }

  async #apply(script: string): Promise<void> {
    const { log, table } = this.#options;
    try {
      await nft(this.#nft, ['-f', '-'], script);
    } catch (error) {
      if (this.#failures) this.#failures.value++;
      log.warn({ table, reason: (error as Error).message }, 'nftables refused a change: making the table anew');
      await this.#create().catch((problem: Error) => {
        this.#broken = true;
        this.#placed.clear();
        log.error({ table, reason: problem.message }, 'datagrams go through user space from now on');
      });
    }
  }

  /** The table with everything that is to be in it, and its guard. Somebody may have flushed the whole ruleset. */
  async #create(): Promise<void> {
    const { table } = this.#options;
    const { family } = this.#forwarding;
    const flows = [...this.#placed.keys()];
    const placements = await this.#forwarding.place(flows);
    const script = this.#forwarding.tableScript(table);
    await nft(this.#nft, ['-f', '-'], script + flows.map((flow, at) => this.#place(flow, placements[at]!)).join(''));
    const handle = tableHandle(await nft(this.#nft, ['-j', 'list', 'tables']), family, table);
    const former = this.#guard;
    // By its handle, so that it never meets the table of the next MF.
    this.#guard = startGuard([...this.#nft, 'delete', 'table', family, 'handle', String(handle)]);
    await endGuard(former);
    await this.#forwarding.complete(table);
  }

  async #list(): Promise<ReadonlyMap<string, ElementCounter>> {
    if (this.#broken) return new Map();
    try {
      const lists = this.#forwarding.listings(this.#options.table);
      const answers = await Promise.all(lists.map((words) => nft(this.#nft, ['-j', ...words])));
      return new Map(answers.flatMap((json) => [...this.#forwarding.readCounters(json)]));
    } catch (error) {
      this.#options.log.warn({ reason: (error as Error).message }, 'nftables did not tell its counters');
      return new Map();
    }
  }
}

const elementsIn = (placement: Placement) => ('elements' in placement ? placement.elements : undefined);
