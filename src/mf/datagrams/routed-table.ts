import { isIPv6 } from 'node:net';
import {
  type Element,
  type EndPoint,
  elementsScript,
  type Forwarding,
  type KernelFlow,
  type KernelSide,
  listedCounters,
  MAX_ELEMENTS,
} from './forwarding.ts';

/** Through the host's routes and its forward chain. */
export const routedForwarding: Forwarding = {
  family: 'inet',
  tableScript,
  complete: async () => undefined,
  keysOf: (flow) => elementsOf(flow).map(({ map, key }) => `${map} ${key}`),
  place: async (flows) => flows.map((flow) => ({ elements: elementsOf(flow) })),
  addScript: (table, elements) => elementsScript('add', `inet ${table}`, elements),
  listings: (table) => [['list', 'table', 'inet', table]],
  counterKey: (flow, side) => keyOf(flow[side].remote, flow[side].local),
  *readCounters(json) {
    for (const [key, counter] of listedCounters(json)) yield [key.join(' . '), counter] as const;
  },
  watch: () => undefined,
  close: () => undefined,
};

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
function tableScript(table: string): string {
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
    // Without a checksum (RFC 768) there is none to correct, and nftables would make one up.
    '  meta l4proto udp @th,64,8 20-63 udp checksum != 0',
    `udp dport set ${key} map @dport${version} notrack`,
    `${protocol} daddr set ${key} map @daddr${version} accept`,
  ].join(' ');
}

function postrouting(version: string, protocol: string): string {
  const key = tuple(protocol);
  return `  udp sport set ${key} map @sport${version} ${protocol} saddr set ${key} map @saddr${version}`;
}

const keyOf = (from: EndPoint, to: EndPoint) => `${from.address} . ${from.port} . ${to.address} . ${to.port}`;

/** What is in the table for one flow. */
function elementsOf(flow: KernelFlow): readonly Element[] {
  return [...direction(flow.a, flow.b), ...direction(flow.b, flow.a)];
}

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
