import type { Counter, Metrics } from '../../base/metrics.ts';
import type { NextHopLoad, OverloadControl } from '../overload/index.ts';

export const CONNECTIONS_CUT_HELP =
  'working connections that we ended: strangers, silent ones that made room, half messages';

export type EndpointCounters = Readonly<
  Record<
    | 'received'
    | 'sent'
    | 'malformed'
    | 'strangers'
    | 'foreignResponses'
    | 'sendFailures'
    | 'trouble'
    | 'connectionsCut'
    | 'movedToTcp'
    | 'backToUdp'
    | 'failovers',
    Counter
  >
>;

export function countersOf(metrics: Metrics): EndpointCounters {
  return {
    received: metrics.counter('imsdc_sip_received_total', 'messages received'),
    sent: metrics.counter('imsdc_sip_sent_total', 'messages sent'),
    malformed: metrics.counter('imsdc_sip_malformed_total', 'messages refused by the parser'),
    strangers: metrics.counter('imsdc_sip_strangers_total', 'requests and noise from peers that are not trusted'),
    foreignResponses: metrics.counter('imsdc_sip_foreign_responses_total', 'responses whose top Via is not ours'),
    sendFailures: metrics.counter('imsdc_sip_send_failures_total', 'messages that could not be sent'),
    trouble: metrics.counter(
      'imsdc_sip_socket_trouble_total',
      'refused or failed connections, full backlogs, socket errors',
    ),
    connectionsCut: metrics.counter('imsdc_sip_connections_cut_total', CONNECTIONS_CUT_HELP),
    movedToTcp: metrics.counter('imsdc_sip_moved_to_tcp_total', 'large requests sent over TCP instead of UDP'),
    failovers: metrics.counter('imsdc_sip_failovers_total', 'requests sent to the next address of their next hop'),
    backToUdp: metrics.counter('imsdc_sip_back_to_udp_total', 'large requests whose TCP connection failed'),
  };
}

export function gaugesOf(
  metrics: Metrics,
  read: {
    transactions: () => number;
    connections: () => number;
    restingTargets: () => number;
    nextHops: NextHopLoad;
    overload: OverloadControl | undefined;
  },
): void {
  metrics.gauge('imsdc_sip_transactions', 'live transactions', read.transactions);
  metrics.gauge('imsdc_sip_connections', 'open stream connections', read.connections);
  metrics.gauge('imsdc_sip_resting_targets', 'next hops that are tried last', read.restingTargets);
  const { overload, nextHops } = read;
  metrics.gauge(
    'imsdc_sip_shed_requests',
    'requests left out because their next hop asked for it',
    () => nextHops.shed,
  );
  metrics.gauge('imsdc_sip_shed_spared', 'priority requests that were sent all the same', () => nextHops.spared);
  if (overload === undefined) return;
  metrics.gauge('imsdc_sip_loss_fraction', 'share of new work that is refused for load', () => overload.lossFraction);
  for (const cause of ['peer', 'user', 'lag'] as const) {
    metrics.gauge(`imsdc_sip_refused_${cause}`, `requests refused: ${cause}`, () => overload.refused[cause]);
  }
  metrics.gauge('imsdc_sip_priority_passed', 'priority requests let in regardless', () => overload.priorityPassed);
}
