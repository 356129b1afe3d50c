import { isIPv6 } from 'node:net';
import type { FlowCounters, SideCounters } from '../engine/datagram-path.ts';
import type { ElementCounter, Forwarding, KernelFlow, Side } from './forwarding.ts';

const NOTHING: SideCounters = { datagrams: 0, bytes: 0 };
export const NO_COUNTERS: FlowCounters = { a: NOTHING, b: NOTHING };
const HEADER_BYTES = { 4: 28, 6: 48 } as const;

/** Of a flow, without headers, from the counters of its elements; nothing for a flow that has none. */
export function countersOf(
  forwarding: Forwarding,
  flow: KernelFlow,
  listed: ReadonlyMap<string, ElementCounter>,
): FlowCounters {
  const side = (name: Side): SideCounters => {
    const { packets, bytes } = listed.get(forwarding.counterKey(flow, name)) ?? { packets: 0, bytes: 0 };
    const header = HEADER_BYTES[isIPv6(flow[name].remote.address) ? 6 : 4];
    return { datagrams: packets, bytes: bytes - packets * header };
  };
  return { a: side('a'), b: side('b') };
}

export function sum(left: FlowCounters, right: FlowCounters): FlowCounters {
  const side = (name: Side) => ({
    datagrams: left[name].datagrams + right[name].datagrams,
    bytes: left[name].bytes + right[name].bytes,
  });
  return { a: side('a'), b: side('b') };
}
