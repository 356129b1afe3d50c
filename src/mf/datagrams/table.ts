import { isIPv6 } from 'node:net';

/** One side of a flow: our port, and the far end that alone may use it (R10). */
export interface KernelSide {
  readonly local: { readonly address: string; readonly port: number };
  readonly remote: { readonly address: string; readonly port: number };
}
export type Side = 'a' | 'b';
export type KernelFlow = Readonly<Record<Side, KernelSide>>;

/** Flows of one MF; a map holds two elements for each. */
export const MAX_KERNEL_FLOWS = 20_000;
const MAX_ELEMENTS = 2 * MAX_KERNEL_FLOWS;

/**
 * The table that forwards without conntrack, datagram by datagram, so that STUN of the same far end still reaches the
 * socket in user space:
 *
 * ```text
 * prerouting   from A:a to us:1, first octet 20..63 (RFC 7983: DTLS)  ->  port b, then address B
 * (routing)
 * postrouting  from A:a to B:b                                        ->  from port 2, then from our address
 * ```
 *
 * The source cannot change before routing: a packet from an own address that comes in is a martian. Two fields are
 * written one after the other, so the key of the second already has the new value of the first.
 */
export function tableScript(table: string): string {
  return [
    // Whatever an MF that died has left behind.
    `add table inet ${table}`,
    `delete table inet ${table}`,
    `table inet ${table} {`,
    ...family('4', 'ipv4_addr'),
    ...family('6', 'ipv6_addr'),
    ' chain in {',
    '  type filter hook prerouting priority raw; policy accept;',
    prerouting('4', 'ip'),
    prerouting('6', 'ip6'),
    ' }',
    ' chain out {',
    '  type filter hook postrouting priority srcnat; policy accept;',
    postrouting('4', 'ip'),
    postrouting('6', 'ip6'),
    ' }',
    '}',
    '',
  ].join('\n');
}

function family(version: string, address: string): string[] {
  const key = `type ${address} . inet_service . ${address} . inet_service`;
  const map = (name: string, value: string, more = '') =>
    ` map ${name}${version} { ${key} : ${value}; size ${MAX_ELEMENTS};${more} }`;
  return [
    map('dport', 'inet_service', ' counter;'),
    map('daddr', address),
    map('sport', 'inet_service'),
    map('saddr', address),
  ];
}

const tuple = (protocol: string) => `${protocol} saddr . udp sport . ${protocol} daddr . udp dport`;

function prerouting(version: string, protocol: string): string {
  const key = tuple(protocol);
  // A statement whose map has no such key ends the rule, so the first look-up is also the test, and its counter counts.
  return [
    '  meta l4proto udp @th,64,8 20-63',
    `udp dport set ${key} map @dport${version} notrack`,
    `${protocol} daddr set ${key} map @daddr${version} accept`,
  ].join(' ');
}

function postrouting(version: string, protocol: string): string {
  const key = tuple(protocol);
  return `  udp sport set ${key} map @sport${version} ${protocol} saddr set ${key} map @saddr${version}`;
}

export interface Element {
  /** The map: `dport4`, `daddr4`, ... */
  readonly map: string;
  /** As nft writes it: `192.0.2.1 . 5000 . 192.0.2.2 . 40000`. */
  readonly key: string;
  readonly value: string;
}

type EndPoint = KernelSide['remote'];
const keyOf = (from: EndPoint, to: EndPoint) => `${from.address} . ${from.port} . ${to.address} . ${to.port}`;

/** The key in `dport4` or `dport6` whose counter is what came from the far end of `side`. */
export function counterKey(flow: KernelFlow, side: Side): string {
  return keyOf(flow[side].remote, flow[side].local);
}

/** What is in the table for one flow. */
export function elementsOf(flow: KernelFlow): readonly Element[] {
  return [...direction(flow.a, flow.b), ...direction(flow.b, flow.a)];
}

export const ELEMENTS_PER_FLOW = 8;

function direction(from: KernelSide, to: KernelSide): Element[] {
  const version = isIPv6(from.remote.address) ? '6' : '4';
  const [source, target] = [from.remote, to.remote];
  const entry = keyOf(source, from.local);
  return [
    { map: `dport${version}`, key: entry, value: String(target.port) },
    {
      map: `daddr${version}`,
      key: keyOf(source, { address: from.local.address, port: target.port }),
      value: target.address,
    },
    { map: `sport${version}`, key: keyOf(source, target), value: String(to.local.port) },
    {
      map: `saddr${version}`,
      key: keyOf({ address: source.address, port: to.local.port }, target),
      value: to.local.address,
    },
  ];
}

export function addScript(table: string, elements: readonly Element[]): string {
  return elements.map(({ map, key, value }) => `add element inet ${table} ${map} { ${key} : ${value} }\n`).join('');
}

export function deleteScript(table: string, elements: readonly Element[]): string {
  return elements.map(({ map, key }) => `delete element inet ${table} ${map} { ${key} }\n`).join('');
}

export interface ElementCounter {
  readonly packets: number;
  /** With IP and UDP headers. */
  readonly bytes: number;
}

/** The counters in the answer to `nft -j list table`, by element key. */
export function readCounters(json: string): ReadonlyMap<string, ElementCounter> {
  const counters = new Map<string, ElementCounter>();
  const { nftables } = JSON.parse(json) as { nftables: readonly { map?: ListedMap }[] };
  for (const { map } of nftables) {
    for (const [key] of map?.elem ?? []) {
      if (key.elem?.counter && key.elem.val.concat) counters.set(key.elem.val.concat.join(' . '), key.elem.counter);
    }
  }
  return counters;
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
