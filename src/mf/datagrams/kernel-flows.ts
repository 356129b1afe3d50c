import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../../base/log.ts';
import type { Counter, Metrics } from '../../base/metrics.ts';
import type { DatagramPath, FlowCounters, SideCounters } from '../engine/datagram-path.ts';
import type { FlowEndpoints, FlowOptions } from '../engine/types.ts';
import { NFT, type NftCommand, nft } from './nft.ts';
import {
  addScript,
  counterKey,
  deleteScript,
  ELEMENTS_PER_FLOW,
  type ElementCounter,
  elementsOf,
  type KernelFlow,
  MAX_KERNEL_FLOWS,
  readCounters,
  type Side,
  tableScript,
} from './table.ts';

export interface KernelFlowsOptions {
  /** Name of our nftables table; only one MF may use it. */
  readonly table: string;
  readonly log: Logger;
  readonly metrics?: Metrics;
  readonly nft?: NftCommand;
  /** Whether the host forwards IPv6. Default true. */
  readonly ipv6?: boolean;
  /** Addresses of this host: what is for them never passes postrouting. */
  readonly isLocal?: (address: string) => boolean;
}

interface Held {
  /** In the table, or on its way. Undefined: a far end is not known yet. */
  flow: KernelFlow | undefined;
  /** Of flows that this one has replaced. */
  before: FlowCounters;
}

const NOTHING: SideCounters = { datagrams: 0, bytes: 0 };
const NO_COUNTERS: FlowCounters = { a: NOTHING, b: NOTHING };
const HEADER_BYTES = { 4: 28, 6: 48 } as const;

/** One change of the table; the next run of nft takes all that wait. */
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
  readonly #nft: NftCommand;
  readonly #held = new Map<string, Held>();
  /** Every element key in the table, so that two flows never fight for one. */
  readonly #taken = new Set<string>();
  readonly #failures: Counter | undefined;
  #waiting: Change[] = [];
  #running: Promise<void> | null = null;
  #guard: ChildProcess | null = null;
  /** nftables does not take our changes any more: everything goes through user space. */
  #broken = false;

  private constructor(options: KernelFlowsOptions) {
    this.#options = options;
    this.#nft = options.nft ?? NFT;
    this.#failures = options.metrics?.counter('imsdc_mf_kernel_failures_total', 'nftables did not take a change');
    options.metrics?.gauge('imsdc_mf_kernel_flows', 'Flows forwarded by the kernel', () => this.size);
  }

  /** Rejects with MF_NFT when the table cannot be made. */
  static async start(options: KernelFlowsOptions): Promise<KernelFlows> {
    const flows = new KernelFlows(options);
    await flows.#create();
    return flows;
  }

  /** Flows in the table. */
  get size(): number {
    return this.#taken.size / ELEMENTS_PER_FLOW;
  }

  async set(key: string, options: FlowOptions, ends: FlowEndpoints): Promise<'user' | 'kernel'> {
    const held = this.#held.get(key) ?? { flow: undefined, before: NO_COUNTERS };
    this.#held.set(key, held);
    const flow = this.#kernelFlow(options, ends);
    if (held.flow && isDeepStrictEqual(flow, held.flow)) return 'kernel';
    const add = flow === 'later' || flow === 'never' ? undefined : this.#claim(flow, held.flow);
    const remove = held.flow;
    if (remove && !add) this.#free(remove);
    held.flow = add;
    if (remove || add) held.before = sum(held.before, await this.#change(remove, add));
    return flow === 'later' || held.flow !== undefined ? 'kernel' : 'user';
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
      counters.set(key, flow ? sum(before, countersOf(flow, listed)) : before);
    }
    return counters;
  }

  async close(): Promise<void> {
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
    const keys = elementsOf(flow).map(({ map, key }) => `${map} ${key}`);
    if (keys.some((key) => this.#taken.has(key))) return undefined;
    for (const key of keys) this.#taken.add(key);
    return flow;
  }

  #free(flow: KernelFlow): void {
    for (const { map, key } of elementsOf(flow)) this.#taken.delete(`${map} ${key}`);
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
      const listed = changes.some(({ remove }) => remove) ? await this.#list() : new Map<string, ElementCounter>();
      if (!this.#broken) await this.#apply(changes);
      for (const { remove, done } of changes) done(remove ? countersOf(remove, listed) : NO_COUNTERS);
    }
  }

  async #apply(changes: readonly Change[]): Promise<void> {
    const { log, table } = this.#options;
    const script = changes.map(
      ({ remove, add }) =>
        (remove ? deleteScript(table, elementsOf(remove)) : '') + (add ? addScript(table, elementsOf(add)) : ''),
    );
    try {
      await nft(this.#nft, ['-f', '-'], script.join(''));
    } catch (error) {
      if (this.#failures) this.#failures.value++;
      log.warn({ table, reason: (error as Error).message }, 'nftables refused a change: making the table anew');
      await this.#create().catch((problem: Error) => {
        this.#broken = true;
        log.error({ table, reason: problem.message }, 'datagrams go through user space from now on');
      });
    }
  }

  /** The table with everything that is to be in it, and its guard. Somebody may have flushed the whole ruleset. */
  async #create(): Promise<void> {
    const { table } = this.#options;
    const held = [...this.#held.values()].flatMap(({ flow }) => (flow ? elementsOf(flow) : []));
    await nft(this.#nft, ['-f', '-'], tableScript(table) + addScript(table, held));
    const handle = tableHandle(await nft(this.#nft, ['-j', 'list', 'tables']), table);
    const former = this.#guard;
    this.#guard = startGuard(this.#nft, handle);
    await endGuard(former);
  }

  async #list(): Promise<ReadonlyMap<string, ElementCounter>> {
    if (this.#broken) return new Map();
    try {
      return readCounters(await nft(this.#nft, ['-j', 'list', 'table', 'inet', this.#options.table]));
    } catch (error) {
      this.#options.log.warn({ reason: (error as Error).message }, 'nftables did not tell its counters');
      return new Map();
    }
  }
}

function countersOf(flow: KernelFlow, listed: ReadonlyMap<string, ElementCounter>): FlowCounters {
  const side = (name: Side): SideCounters => {
    const { packets, bytes } = listed.get(counterKey(flow, name)) ?? { packets: 0, bytes: 0 };
    const header = HEADER_BYTES[isIPv6(flow[name].remote.address) ? 6 : 4];
    return { datagrams: packets, bytes: bytes - packets * header };
  };
  return { a: side('a'), b: side('b') };
}

function sum(left: FlowCounters, right: FlowCounters): FlowCounters {
  const side = (name: Side) => ({
    datagrams: left[name].datagrams + right[name].datagrams,
    bytes: left[name].bytes + right[name].bytes,
  });
  return { a: side('a'), b: side('b') };
}

const isUnspecified = (address: string) => address === '0.0.0.0' || address === '::';

function isOwnAddress(address: string): boolean {
  if (address.startsWith('127.') || address === '::1') return true;
  return Object.values(networkInterfaces()).some((list) => list?.some((own) => own.address === address));
}

function tableHandle(listing: string, table: string): number {
  const { nftables } = JSON.parse(listing) as {
    nftables: readonly { table?: { name: string; family: string; handle: number } }[];
  };
  return nftables.find((one) => one.table?.name === table && one.table.family === 'inet')!.table!.handle;
}

/**
 * Waits for the end of its standard input, which is the end of the MF, and removes the table: by its handle, so that it
 * never meets the table of the next MF. In a group of its own, so that Ctrl-C does not end it before the MF.
 */
function startGuard(command: NftCommand, handle: number): ChildProcess {
  const script = 'cat > /dev/null; exec "$@"';
  const remove = [...command, 'delete', 'table', 'inet', 'handle', String(handle)];
  return spawn('/bin/sh', ['-c', script, 'imsdc-guard', ...remove], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
}

async function endGuard(guard: ChildProcess | null): Promise<void> {
  if (!guard || guard.exitCode !== null || guard.signalCode !== null) return;
  const ended = once(guard, 'exit');
  guard.stdin?.end();
  await ended;
}
