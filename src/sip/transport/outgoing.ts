import { clientKey, type Transactions } from '../transaction/index.ts';
import type { ClientKey, Destination, TransactionUserEvent } from '../types.ts';
import type { EndpointCounters } from './endpoint-counters.ts';
import type { Failover, OutgoingRequest } from './failover.ts';
import type { LargeRequests } from './large-requests.ts';
import type { LimitedLog } from './limited-log.ts';
import { hostPort } from './transport.ts';

/** What becomes of a request of ours. */
type OutgoingEvent = Extract<TransactionUserEvent, { kind: 'response' | 'clientFailed' }>;

export interface OutgoingOptions {
  readonly layer: Transactions;
  readonly large: LargeRequests;
  readonly failover: Failover;
  readonly count: EndpointCounters;
  readonly log: LimitedLog;
  readonly nowMs: () => number;
}

/** Requests of ours, which may take more than one way: TCP before UDP, and one address of the next hop after the other. */
export class Outgoing {
  readonly #options: OutgoingOptions;

  constructor(options: OutgoingOptions) {
    this.#options = options;
  }

  request(options: OutgoingRequest & { otherwise?: readonly Destination[] }): ClientKey {
    const { otherwise } = options;
    this.#send(otherwise === undefined ? options : this.#options.failover.start(options, otherwise));
    return clientKey(options.branch, options.method);
  }

  cancel(key: ClientKey, extraHeaders: string): void {
    const { layer, large, failover, nowMs } = this.#options;
    const current = failover.cancelled(key);
    large.cancelled(current, extraHeaders);
    layer.cancel(current, nowMs(), extraHeaders);
  }

  /** The event as the user shall see it; undefined: another way is tried, and the user hears nothing. */
  came(event: OutgoingEvent): OutgoingEvent | undefined {
    const { failover } = this.#options;
    return this.#backToUdp(event) || this.#failsOver(event) ? undefined : failover.known(event);
  }

  #send(request: OutgoingRequest): void {
    const { layer, large, count } = this.#options;
    const nowMs = this.#options.nowMs();
    const tcp = large.overTcp(request.wire, request.to, nowMs);
    if (tcp === undefined) {
      layer.request(request, nowMs);
      return;
    }
    count.movedToTcp.value++;
    large.attempted(clientKey(request.branch, request.method), request);
    layer.request({ ...request, ...tcp }, nowMs);
  }

  /** A large request whose TCP connection failed goes over UDP, under the same key. */
  #backToUdp(event: OutgoingEvent): boolean {
    const { layer, large, count } = this.#options;
    if (large.size === 0) return false;
    const nowMs = this.#options.nowMs();
    const failed = event.kind === 'clientFailed' && event.reason === 'transport';
    const again = failed ? large.refused(event.key, nowMs) : undefined;
    large.settled(event.key);
    if (again === undefined) return false;
    count.backToUdp.value++;
    layer.request(again, nowMs);
    if (again.cancel !== undefined) layer.cancel(event.key, nowMs, again.cancel);
    return true;
  }

  /** RFC 3263 4.3. */
  #failsOver(event: OutgoingEvent): boolean {
    const { failover, count, log, nowMs } = this.#options;
    if (failover.size === 0) return false;
    const next = failover.next(event, nowMs());
    if (next === undefined) return false;
    count.failovers.value++;
    log.warn('sip: a next hop failed, its next address is tried', { to: hostPort(next.to.address, next.to.port) });
    this.#send(next);
    return true;
  }
}
