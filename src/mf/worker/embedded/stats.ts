import type { PlainAssociation } from '../../../ndc/association.ts';
import type { PortCounters } from '../../../ndc/outer-port.ts';
import type { FrameBody } from '../codec.ts';
import type { Flow } from './flow.ts';

type StatsRecord = FrameBody<'STATS_DATA'>['records'][number];

/** STATS_DATA carries no more streams of one association. */
const MAX_STREAM_RECORDS = 1024;

/** What the shim itself knows. libdatachannel does not tell its retransmissions. */
export function plainStats(plain: PlainAssociation) {
  const streams = [...plain.streams()].map(({ spec, counters }) => ({
    streamId: spec.streamId,
    bufferedBytes: plain.bufferedAmount(spec.streamId),
    ...counters,
  }));
  return {
    rttUs: plain.rttMs() * 1000,
    retransmissions: 0,
    ...datagrams([plain.outer.counters]),
    ...plain.counters(),
    streams: streams.sort((a, b) => a.streamId - b.streamId).slice(0, MAX_STREAM_RECORDS),
  };
}

/** A flow has no state of its own; its sides stand as streams 0 and 1. */
export function flowStats(flow: Flow, reference: { handle: number; generation: number }): StatsRecord {
  return {
    handle: reference.handle,
    generation: reference.generation,
    state: 'connected',
    stateAgeMs: 0,
    handshakeUs: 0,
    rttUs: 0,
    bufferedBytes: 0,
    retransmissions: 0,
    ...datagrams(flow.ports.map(({ counters }) => counters)),
    ...flow.counters(),
    streams: flow.sides().map((side, streamId) => ({ streamId, bufferedBytes: 0, ...side })),
  };
}

function datagrams(ports: readonly PortCounters[]) {
  const sum = (key: keyof PortCounters) => ports.reduce((total, counters) => total + counters[key], 0);
  return {
    datagramsReceived: sum('datagramsReceived'),
    datagramsSent: sum('datagramsSent'),
    datagramsIgnored: sum('datagramsIgnored'),
  };
}
