import type { Command } from './program.ts';

/** One side of a flow: our port, and the far end that alone may use it (R10). */
export interface KernelSide {
  readonly local: EndPoint;
  readonly remote: EndPoint;
}
export interface EndPoint {
  readonly address: string;
  readonly port: number;
}
export type Side = 'a' | 'b';
export type KernelFlow = Readonly<Record<Side, KernelSide>>;

/** Flows of one MF; a map holds two elements for each. */
export const MAX_KERNEL_FLOWS = 20_000;
export const MAX_ELEMENTS = 2 * MAX_KERNEL_FLOWS;

export interface Element {
  /** The map: `dport4`, `to6`, ... */
  readonly map: string;
  /** As nft writes it: `192.0.2.1 . 5000 . 192.0.2.2 . 40000`. */
  readonly key: string;
  readonly value: string;
}

/** Why a flow has to stay with its worker, although its addresses are such that the kernel could forward it. */
export type Refusal = 'device' | 'family' | 'local' | 'mtu' | 'route';

/** How many of each. */
export function countRefusals(refusals: Iterable<Refusal>): Readonly<Record<Refusal, number>> {
  const counts = { device: 0, family: 0, local: 0, mtu: 0, route: 0 };
  for (const refusal of refusals) counts[refusal]++;
  return counts;
}

/** What is to be in the table for a flow. */
export type Placement = { readonly elements: readonly Element[] } | { readonly refused: Refusal };

export interface ElementCounter {
  readonly packets: number;
  /** With IP and UDP headers. */
  readonly bytes: number;
}

/** One of the ways in which nftables forwards: the table, and what a flow is in it. */
export interface Forwarding {
  /** Of the table. */
  readonly family: 'inet' | 'netdev';
  /** The table anew, without flows: a transaction for nft. */
  tableScript(table: string): string;
  /** What nft cannot say, after the table was made. Rejects with MF_NFT. */
  complete(table: string): Promise<void>;
  /** No two flows may have one of these in common. */
  keysOf(flow: KernelFlow): readonly string[];
  /** One answer per flow, in their order. Never rejects. */
  place(flows: readonly KernelFlow[]): Promise<readonly Placement[]>;
  addScript(table: string, elements: readonly Element[]): string;
  /** Arguments of nft, one list per run, that print the maps that count. */
  listings(table: string): readonly (readonly string[])[];
  /** Of what came from the far end of `side`, in what `readCounters` gives. */
  counterKey(flow: KernelFlow, side: Side): string;
  readCounters(json: string): Iterable<readonly [string, ElementCounter]>;
  /** `changed` is called when flows may have to be placed anew. */
  watch(changed: () => Promise<void>): void;
  close(): void;
}

export interface ForwardingCommands {
  readonly nft?: Command;
  readonly ip?: Command;
}

export function elementsScript(verb: 'add' | 'delete', table: string, elements: readonly Element[]): string {
  const element = ({ map, key, value }: Element) => `${map} { ${verb === 'add' ? `${key} : ${value}` : key} }`;
  return elements.map((one) => `${verb} element ${table} ${element(one)}\n`).join('');
}

/** Key and counter of each element in the answer to `nft -j list`. */
export function* listedCounters(json: string): Generator<readonly [readonly (string | number)[], ElementCounter]> {
  const { nftables } = JSON.parse(json) as { nftables: readonly { map?: ListedMap }[] };
  for (const { map } of nftables) {
    for (const [key] of map?.elem ?? []) {
      if (key.elem?.counter && key.elem.val.concat) yield [key.elem.val.concat, key.elem.counter];
    }
  }
}

interface ListedMap {
  /** Key and value; only in a map with counters the key is an object. */
  readonly elem?: readonly [
    {
      readonly elem?: {
        readonly val: { readonly concat?: readonly (string | number)[] };
        readonly counter?: ElementCounter;
      };
    },
    unknown,
  ][];
}
