import type { FlowEndpoints, FlowOptions, FlowWay, KeyStats } from './types.ts';

/** Bytes of datagrams without their headers, from the far end of each side. */
export interface SideCounters {
  readonly datagrams: number;
  readonly bytes: number;
}
export type FlowCounters = Readonly<Record<'a' | 'b', SideCounters>>;

/**
 * A way past the worker for the datagrams of flows. The worker keeps its sockets: what does not take this way, it
 * forwards. No method rejects: the worker's way is always there.
 */
export interface DatagramPath {
  /** The flow's far ends, now or anew. Which way its datagrams go, or will as soon as both far ends are known. */
  set(key: string, options: FlowOptions, ends: FlowEndpoints): Promise<'user' | 'kernel'>;
  /** When it resolves nothing passes any more; what has passed. */
  remove(key: string): Promise<FlowCounters | undefined>;
  counters(): Promise<ReadonlyMap<string, FlowCounters>>;
  /** Which way the datagrams of a flow go now. */
  wayOf(key: string): FlowWay;
  close(): Promise<void>;
}

type Figures = Pick<KeyStats, 'bytesReceived' | 'bytesSent' | 'messagesReceived' | 'messagesSent'>;

/** The worker's figures of a flow, and what went past the worker: all of it was sent on. */
export function withCounters<T extends Figures>(figures: T, passed: FlowCounters | undefined): T {
  if (!passed) return figures;
  const datagrams = passed.a.datagrams + passed.b.datagrams;
  const bytes = passed.a.bytes + passed.b.bytes;
  return add(figures, { datagrams, bytes }, { datagrams, bytes });
}

/** The same for its sides. */
export function withSideCounters(stats: KeyStats, passed: FlowCounters | undefined): KeyStats {
  if (!passed) return stats;
  const streams = stats.streams.map((stream) =>
    stream.streamId === 0 ? add(stream, passed.a, passed.b) : add(stream, passed.b, passed.a),
  );
  return { ...withCounters(stats, passed), streams };
}

function add<T extends Figures>(figures: T, received: SideCounters, sent: SideCounters): T {
  return {
    ...figures,
    bytesReceived: figures.bytesReceived + received.bytes,
    bytesSent: figures.bytesSent + sent.bytes,
    messagesReceived: figures.messagesReceived + received.datagrams,
    messagesSent: figures.messagesSent + sent.datagrams,
  };
}
