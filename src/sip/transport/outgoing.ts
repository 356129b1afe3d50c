import { clientKey, type Transactions } from '../transaction/index.ts';
import type { ClientKey, Destination, TransactionUserEvent } from '../types.ts';
import type { EndpointCounters } from './endpoint-counters.ts';
import { Failover, type OutgoingRequest } from './failover.ts';
import { LargeRequests } from './large-requests.ts';
import type { LimitedLog } from './limited-log.ts';
import type { Listeners } from './listeners.ts';
import type { RestingTargets } from './resting-targets.ts';
import type { Shedding } from './shedding.ts';
import type { Transmitter } from './transmitter.ts';
import { hostPort } from './transport.ts';

/** What becomes of a request of ours. */
type OutgoingEvent = Extract<TransactionUserEvent, { kind: 'response' | 'clientFailed' }>;

export interface OutgoingOptions {
  readonly layer: Transactions;
  readonly listeners: Listeners;
  /** 0: large requests stay on UDP. */
  readonly udpMtuBytes: number;
  readonly resting: RestingTargets;
  readonly transmitter: Transmitter;
  readonly shedding: Shedding;
  /** The request was left out because its next hop asked for less (RFC 7339 5.8). */
  readonly refused: (key: ClientKey) => void;
  readonly count: EndpointCounters;
  readonly log: LimitedLog;
  readonly nowMs: () => number;
}

/**
 * Requests of ours, which may take more than one way (TCP before UDP, one address of the next hop after the other), or
 * none, when the next hop is overloaded.
 */
export class Outgoing {
  readonly #options: OutgoingOptions;
  readonly #large: LargeRequests;
  readonly #failover: Failover;

  constructor(options: OutgoingOptions) {
    this.#options = options;
    const sentBy = (to: Destination) => options.listeners.nameFor(to);
    this.#large = new LargeRequests({ udpMtuBytes: options.udpMtuBytes, sentBy });
    this.#failover = new Failover(options.resting, sentBy);
  }

  request(options: OutgoingRequest & { otherwise?: readonly Destination[] }): ClientKey {
    const { shedding, refused, nowMs } = this.#options;
    const { otherwise } = options;
    const places = otherwise === undefined ? [options.to] : [options.to, ...otherwise];
    const at = places.findIndex((to) => !shedding.sheds(options.wire, to, nowMs()));
    const to = places[at];
    if (to === undefined) {
      const key = clientKey(options.branch, options.method);
      refused(key);
      return key;
    }
    return this.#send(
      otherwise === undefined ? options : this.#failover.start({ ...options, to }, places.slice(at + 1)),
    );
  }

  cancel(key: ClientKey, extraHeaders: string): void {
    const { layer, nowMs } = this.#options;
    const current = this.#failover.cancelled(key);
    this.#large.cancelled(current, extraHeaders);
    layer.cancel(current, nowMs(), extraHeaders);
  }

  /** Without a transaction: the ACK of a 2xx, or what a stateless proxy forwards. */
  stateless(wire: string, to: Destination): void {
    const { transmitter, nowMs } = this.#options;
    const tcp = wire.startsWith('SIP/2.0 ') ? undefined : this.#large.overTcp(wire, to, nowMs());
    if (tcp === undefined) transmitter.transmit(wire, to, null);
    else
      transmitter.transmit(tcp.wire, tcp.to, null, () => {
        this.#large.refuse(to, nowMs());
        transmitter.transmit(wire, to, null);
      });
  }

  /** The event as the user shall see it; undefined: another way is tried, and the user hears nothing. */
  came(event: OutgoingEvent): OutgoingEvent | undefined {
    return this.#backToUdp(event) || this.#failsOver(event) ? undefined : this.#failover.known(event);
  }

  #send(request: OutgoingRequest): ClientKey {
    const { layer, count } = this.#options;
    const nowMs = this.#options.nowMs();
    const tcp = this.#large.overTcp(request.wire, request.to, nowMs);
    if (tcp === undefined) return layer.request(request, nowMs);
    count.movedToTcp.value++;
    this.#large.attempted(clientKey(request.branch, request.method), request);
    return layer.request({ ...request, ...tcp }, nowMs);
  }

  /** A large request whose TCP connection failed goes over UDP, under the same key. */
  #backToUdp(event: OutgoingEvent): boolean {
    const { layer, count } = this.#options;
    if (this.#large.size === 0) return false;
    const nowMs = this.#options.nowMs();
    const failed = event.kind === 'clientFailed' && event.reason === 'transport';
    const again = failed ? this.#large.refused(event.key, nowMs) : undefined;
    this.#large.settled(event.key);
    if (again === undefined) return false;
    count.backToUdp.value++;
    layer.request(again, nowMs);
    if (again.cancel !== undefined) layer.cancel(event.key, nowMs, again.cancel);
    return true;
  }

  /** RFC 3263 4.3. */
  #failsOver(event: OutgoingEvent): boolean {
    const { count, log, nowMs } = this.#options;
    if (this.#failover.size === 0) return false;
    const next = this.#failover.next(event, nowMs());
    if (next === undefined) return false;
    count.failovers.value++;
    log.warn('sip: a next hop failed, its next address is tried', { to: hostPort(next.to.address, next.to.port) });
    this.#send(next);
    return true;
  }
}
