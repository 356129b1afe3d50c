import { isIPv6 } from 'node:net';

/** One side of a flow: our port, and the far end that alone may use it (R10). */
export interface KernelSide {
  readonly local: { readonly address: string; readonly port: number };
  readonly remote: { readonly address: string; readonly port: number };
}
export type Side = 'a' | 'b';
export type KernelFlow = Readonly<Record<Side, KernelSide>>;

/** Flows of one MF; a set holds two elements for each. */
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
  const map = (name: string, value: string) => ` map ${name}${version} { ${key} : ${value}; size ${MAX_ELEMENTS}; }`;
  return [
    ` set flow${version} { ${key}; size ${MAX_ELEMENTS}; counter; }`,
    map('dport', 'inet_service'),
    map('daddr', address),
    map('sport', 'inet_service'),
    map('saddr', address),
  ];
}

const tuple = (protocol: string) => `${protocol} saddr . udp sport . ${protocol} daddr . udp dport`;

function prerouting(version: string, protocol: string): string {
  const key = tuple(protocol);
  return [
    '  meta l4proto udp @th,64,8 20-63',
    `${key} @flow${version} notrack`,
    `udp dport set ${key} map @dport${version} ${protocol} daddr set ${key} map @daddr${version} accept`,
  ].join(' ');
}

function postrouting(version: string, protocol: string): string {
  const key = tuple(protocol);
  return `  udp sport set ${key} map @sport${version} ${protocol} saddr set ${key} map @saddr${version}`;
}

export interface Element {
  /** `flow4`, `dport4`, ... */
  readonly set: string;
  /** As nft writes it: `192.0.2.1 . 5000 . 192.0.2.2 . 40000`. */
  readonly key: string;
  readonly value?: string;
}

type EndPoint = KernelSide['remote'];
const keyOf = (from: EndPoint, to: EndPoint) => `${from.address} . ${from.port} . ${to.address} . ${to.port}`;

/** The key in `flow4` or `flow6` whose counter is what came from the far end of `side`. */
export function counterKey(flow: KernelFlow, side: Side): string {
  return keyOf(flow[side].remote, flow[side].local);
}

/** What is in the table for one flow: five elements per direction. */
export function elementsOf(flow: KernelFlow): readonly Element[] {
  return [...direction(flow.a, flow.b), ...direction(flow.b, flow.a)];
}

function direction(from: KernelSide, to: KernelSide): Element[] {
  const version = isIPv6(from.remote.address) ? '6' : '4';
  const [source, target] = [from.remote, to.remote];
  const entry = keyOf(source, from.local);
  return [
    { set: `flow${version}`, key: entry },
    { set: `dport${version}`, key: entry, value: String(target.port) },
    {
      set: `daddr${version}`,
      key: keyOf(source, { address: from.local.address, port: target.port }),
      value: target.address,
    },
    { set: `sport${version}`, key: keyOf(source, target), value: String(to.local.port) },
    {
      set: `saddr${version}`,
      key: keyOf({ address: source.address, port: to.local.port }, target),
      value: to.local.address,
    },
  ];
}

export function addScript(table: string, elements: readonly Element[]): string {
  return elements
    .map(
      ({ set, key, value }) =>
        `add element inet ${table} ${set} { ${key}${value === undefined ? '' : ` : ${value}`} }\n`,
    )
    .join('');
}

export function deleteScript(table: string, elements: readonly Element[]): string {
  return elements.map(({ set, key }) => `delete element inet ${table} ${set} { ${key} }\n`).join('');
}

export interface ElementCounter {
  readonly packets: number;
  /** With IP and UDP headers. */
  readonly bytes: number;
}

/** The counters in the answer to `nft -j list table`, by element key. */
export function readCounters(json: string): ReadonlyMap<string, ElementCounter> {
  const counters = new Map<string, ElementCounter>();
  const { nftables } = JSON.parse(json) as { nftables: readonly { set?: ListedSet }[] };
  for (const { set } of nftables) {
    for (const { elem } of set?.elem ?? []) {
      if (elem?.counter && elem.val.concat) counters.set(elem.val.concat.join(' . '), elem.counter);
    }
  }
  return counters;
}

interface ListedSet {
  readonly elem?: readonly {
    readonly elem?: {
      readonly val: { readonly concat?: readonly (string | number)[] };
      readonly counter?: ElementCounter;
    };
  }[];
}
