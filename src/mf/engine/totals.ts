import type { Metrics } from '../../base/metrics.ts';
import { ZERO_COUNTERS } from './frames.ts';
import type { AssociationStateName, Counters, KeyStats } from './types.ts';

/** A key while it lives. */
export interface LiveKey {
  readonly key: string;
  readonly kind: KeyStats['kind'];
  readonly state: AssociationStateName;
}

const STATES: readonly AssociationStateName[] = ['reserved', 'connecting', 'connected', 'failed', 'closed'];

/**
 * What all associations and all flows have carried since the start: the figures of those that live, as last asked for,
 * and the final ones of those that are gone. Never goes back.
 */
export class Totals {
  readonly #gone = { association: { ...ZERO_COUNTERS }, flow: { ...ZERO_COUNTERS } };
  readonly #live = new Map<string, { readonly kind: KeyStats['kind']; counters: Counters }>();

  /** Figures of keys that live. */
  seen(stats: readonly KeyStats[]): void {
    for (const one of stats) this.#live.set(one.key, { kind: one.kind, counters: sum(ZERO_COUNTERS, one) });
  }

  /** Without `final`, because its worker is gone, what was seen last is all that will ever be known. */
  gone(key: string, kind: KeyStats['kind'], final: Counters = this.#live.get(key)?.counters ?? ZERO_COUNTERS): void {
    this.#live.delete(key);
    this.#gone[kind] = sum(this.#gone[kind], final);
  }

  of(kind: KeyStats['kind']): Counters {
    let total: Counters = this.#gone[kind];
    for (const live of this.#live.values()) if (live.kind === kind) total = sum(total, live.counters);
    return total;
  }
}

function sum(a: Counters, b: Counters): Counters {
  return {
    bytesReceived: a.bytesReceived + b.bytesReceived,
    bytesSent: a.bytesSent + b.bytesSent,
    messagesReceived: a.messagesReceived + b.messagesReceived,
    messagesSent: a.messagesSent + b.messagesSent,
    dropped: a.dropped + b.dropped,
  };
}

const WHAT: readonly (readonly [keyof Counters, string])[] = [
  ['bytesReceived', 'bytes_received'],
  ['bytesSent', 'bytes_sent'],
  ['messagesReceived', 'messages_received'],
  ['messagesSent', 'messages_sent'],
  ['dropped', 'messages_dropped'],
];

export interface TrafficSource {
  readonly totals: Totals;
  keys(): Iterable<LiveKey>;
  /** Asks the workers, so that `totals` are those of now. */
  refresh(): Promise<void>;
}

/** `imsdc_mf_*`: associations by state, flows, and what both have carried. Nobody pays while nobody scrapes. */
export function trafficMetrics(metrics: Metrics, source: TrafficSource): void {
  const { totals } = source;
  metrics.beforeScrape(() => source.refresh());
  const count = (match: (live: LiveKey) => boolean) => {
    let found = 0;
    for (const live of source.keys()) if (match(live)) found++;
    return found;
  };
  metrics.gaugeBy('imsdc_mf_associations', 'Associations by state', 'state', () =>
    Object.fromEntries(
      STATES.map((state) => [state, count((live) => live.kind === 'association' && live.state === state)]),
    ),
  );
  metrics.gauge('imsdc_mf_flows', 'Datagram flows (e2e)', () => count(({ kind }) => kind === 'flow'));
  for (const [field, name] of WHAT) {
    const words = name.replace('_', ' ');
    metrics.total(`imsdc_mf_${name}_total`, `User messages: ${words}`, () => totals.of('association')[field]);
    const flowName = name.replace('messages', 'datagrams');
    metrics.total(
      `imsdc_mf_flow_${flowName}_total`,
      `Flows: ${flowName.replace('_', ' ')}`,
      () => totals.of('flow')[field],
    );
  }
}
