import { TypedEmitter } from '../../base/emitter.ts';
import type { EventLoopTurns } from '../../base/event-loop-turns.ts';
import type { IdMint } from '../../base/ids.ts';
import type { Logger } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { Timers } from '../../base/timers.ts';
import { LOSS_CONTROL_OFFER, type OverloadControl } from '../overload/index.ts';
import { MAGIC_COOKIE, type TimerValues, Transactions } from '../transaction/index.ts';
import type {
  ClientKey,
  Destination,
  Flow,
  ServerKey,
  TransactionLayerEffect,
  TransactionUserEvent,
  Transport,
} from '../types.ts';
import { ArmedTimers } from './armed-timers.ts';
import { batchedSockets } from './batched-socket.ts';
import type { SipListenerConfig } from './config.ts';
import { countersOf, type EndpointCounters, gaugesOf } from './endpoint-counters.ts';
import { standardTransports, type TransportFactory } from './factory.ts';
import type { OutgoingRequest } from './failover.ts';
import { Ingress } from './ingress.ts';
import { LimitedLog } from './limited-log.ts';
import { Listeners } from './listeners.ts';
import { LoopLag } from './loop-lag.ts';
import type { NameServer } from './name-server.ts';
import { Outgoing } from './outgoing.ts';
import { Resolver } from './resolver.ts';
import { RestingTargets } from './resting-targets.ts';
import { Shedding } from './shedding.ts';
import { Transmitter } from './transmitter.ts';
import type { TrustedPeers } from './trust.ts';

export interface SipEndpointOptions {
  readonly listeners: readonly SipListenerConfig[];
  readonly timers: Timers;
  readonly ids: IdMint;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** T1, T2, T4; RFC 3261's by default. */
  readonly transactionTimers?: TimerValues;
  readonly maxTransactions?: number;
  readonly maxConnections?: number;
  readonly idleTimeoutMs?: number;
  /** Above it a request goes over TCP where that is possible (RFC 3261 18.1.1); default 0: never. */
  readonly udpMtuBytes?: number;
  /** Double CRLF on connections that we open (RFC 5626 4.4.1); default 0: none. */
  readonly keepAliveMs?: number;
  /** Who may send requests; default: everybody. */
  readonly trustedPeers?: TrustedPeers;
  /** Default: nothing but the bound on transactions. */
  readonly overload?: OverloadControl;
  readonly nameServer?: NameServer;
  readonly transports?: TransportFactory;
  /** Of a function under load: datagrams are taken and sent once per turn. Default: each by itself. */
  readonly turns?: EventLoopTurns;
  /** What tells `overload` how late this process is, some ten times a second; default: its event loop. */
  readonly lag?: (observe: (lagMs: number) => void) => { close(): void };
}

export interface SipEndpointEvents {
  /** Never emitted while a method of the endpoint is running: the user's turn ends first. */
  sip: TransactionUserEvent;
}

/**
 * Sockets, timers and the transaction layer in one object.
 *
 * Answered here, unseen by the user: malformed requests (400, 413, 414, 505, 513), INVITE (100), CANCEL (200, 481), merged
 * requests (482), overload (503), requests of strangers (403). The user answers: 405, 416, 420, 483 and bad Contact or Route (`checkRequest`), 481 for
 * an unknown dialog, 487 after a `cancel` event, 500 for a CSeq out of order, 406, 415, 488 ... and everything else. The
 * user also sends the ACK of a 2xx (`sendStateless`) and repeats its own 2xx (`repeat2xx`).
 */
export class SipEndpoint extends TypedEmitter<SipEndpointEvents> {
  readonly timers: Timers;
  readonly #options: SipEndpointOptions;
  readonly #layer: Transactions;
  readonly #resolver: Resolver;
  readonly #listeners = new Listeners();
  readonly #armed: ArmedTimers;
  readonly #ingress: Ingress;
  readonly #transmitter: Transmitter;
  readonly #log: LimitedLog;
  readonly #count: EndpointCounters;
  readonly #resting = new RestingTargets();
  readonly #shedding = new Shedding();
  readonly #outgoing: Outgoing;
  readonly #waiting: TransactionUserEvent[] = [];
  #lag: { close(): void } | undefined;
  #inUserCall = false;

  constructor(options: SipEndpointOptions) {
    super();
    this.#options = options;
    this.timers = options.timers;
    const nowMs = () => this.timers.nowMs();
    this.#count = countersOf(options.metrics);
    this.#log = new LimitedLog(options.log, nowMs);
    this.#transmitter = new Transmitter({
      listeners: this.#listeners,
      count: this.#count,
      log: this.#log,
      failed: (owner) => this.#layer.transportFailed(owner, nowMs()),
    });
    this.#armed = new ArmedTimers(options.timers, (timer, atMs) => this.#layer.timerDue(timer, atMs));
    this.#resolver = new Resolver({
      nowMs,
      ...(options.nameServer && { nameServer: options.nameServer }),
      speaks: (transport) => this.#listeners.speaks(transport),
    });
    this.#layer = new Transactions(
      { emit: (effect) => this.#perform(effect) },
      {
        timers: options.transactionTimers,
        maxServers: options.maxTransactions,
        maxClients: options.maxTransactions === undefined ? undefined : options.maxTransactions * 2,
        tagSalt: options.ids.prefix,
        heard: (message, from, atMs) => this.#shedding.heard(message, from, atMs),
        ...(options.overload && { admit: (...request) => options.overload?.admit(...request) }),
      },
    );
    this.#outgoing = new Outgoing({
      layer: this.#layer,
      listeners: this.#listeners,
      udpMtuBytes: options.udpMtuBytes ?? 0,
      resting: this.#resting,
      shedding: this.#shedding,
      transmitter: this.#transmitter,
      refused: (key) => this.#tell({ kind: 'clientFailed', key, reason: 'overload' }),
      count: this.#count,
      log: this.#log,
      nowMs,
    });
    this.#ingress = new Ingress({
      nowMs,
      listeners: this.#listeners,
      trustedPeers: options.trustedPeers,
      overload: options.overload,
      count: this.#count,
      log: this.#log,
      tagSalt: options.ids.prefix,
      receive: (message, flow, atMs) => this.#layer.receive(message, flow, atMs),
      transmit: (wire, to) => this.#transmitter.transmit(wire, to, null),
    });
    gaugesOf(options.metrics, {
      transactions: () => this.#layer.size.clients + this.#layer.size.servers,
      connections: () => this.#listeners.connections,
      restingTargets: () => this.#resting.size,
      nextHops: this.#shedding.load,
      overload: options.overload,
    });
  }

  /** Binds every listener. Throws SIP_LISTEN, with everything closed again. */
  async start(): Promise<void> {
    const { maxConnections, idleTimeoutMs, keepAliveMs, transports, turns, overload, log } = this.#options;
    const make =
      transports ??
      standardTransports({ maxConnections, idleTimeoutMs, keepAliveMs }, turns && batchedSockets(turns, log));
    try {
      for (const config of this.#options.listeners) {
        await this.#listeners.add(config, make, (transport) => this.#ingress.sinkOf(transport));
      }
    } catch (error) {
      await this.close();
      throw error;
    }
    if (overload === undefined) return;
    const observe = (lagMs: number) => overload.observeLag(lagMs);
    this.#lag = this.#options.lag?.(observe) ?? new LoopLag(this.timers, observe);
  }

  /** Forgets every transaction and closes the sockets; what is sent afterwards goes nowhere. */
  async close(): Promise<void> {
    this.#transmitter.close();
    this.#lag?.close();
    this.#layer.close();
    this.#armed.close();
    await this.#listeners.close();
  }

  /** What is bound: transport and address as peers see it. */
  addresses(): { transport: Transport; host: string; port: number }[] {
    return this.#listeners.addresses();
  }

  status(): { clientTransactions: number; serverTransactions: number; timers: number; connections: number } {
    const { clients, servers } = this.#layer.size;
    return {
      clientTransactions: clients,
      serverTransactions: servers,
      timers: this.#armed.size,
      connections: this.#listeners.connections,
    };
  }

  /** A new branch: unique, hard to guess, and carrying our route token (R21). */
  newBranch(): string {
    return MAGIC_COOKIE + this.#options.ids.next();
  }

  /** A new From or To tag. */
  newTag(): string {
    return this.#options.ids.next();
  }

  newCallId(): string {
    return this.#options.ids.next();
  }

  /** The value of our Via for a request to `to`. Throws SIP_UNROUTABLE when no listener of ours can send there. */
  viaFor(to: Destination, branch: string): string {
    const { transport, host } = this.#listeners.viaFor(to);
    // RFC 5923 is about TCP and TLS; a WebSocket works both ways anyhow.
    const reuse = transport === 'tcp' || transport === 'tls' ? ';alias' : '';
    return `SIP/2.0/${transport.toUpperCase()} ${host};branch=${branch};rport${reuse}${LOSS_CONTROL_OFFER}`;
  }

  /** host:port of the listener that sends to `to`: what a Contact or Record-Route for that side names. */
  hostFor(to: Destination): string {
    return this.#listeners.hostFor(to);
  }

  /** The same; undefined when no listener of ours reaches it. */
  nameFor(to: Destination): string | undefined {
    return this.#listeners.nameFor(to);
  }

  /** RFC 3263: where a Request-URI or Route value leads, in the order to try. Rejects with SIP_UNROUTABLE. */
  async resolve(uriOrRoute: string): Promise<readonly Destination[]> {
    const found = await this.#resolver.resolve(uriOrRoute);
    // An IPv6 address is no use to a host without one.
    const usable = found.filter((to) => this.#listeners.nameFor(to) !== undefined);
    return this.#resting.inOrder(usable.length === 0 ? found : usable, this.timers.nowMs());
  }

  /**
   * Starts a client transaction. `wire` carries our Via with `branch` on top. A large request may take TCP instead of UDP
   * (`udpMtuBytes`). With `otherwise` (what `resolve` found beside `to`, or none) the transport and sent-by of that Via
   * are set here, and the request goes to the next of them when one fails (RFC 3263 4.3). Its user sees nothing of either.
   */
  request(options: OutgoingRequest & { otherwise?: readonly Destination[] }): ClientKey {
    return this.#userCall(() => this.#outgoing.request(options));
  }

  /** Sends a response in the server transaction `key`; nothing happens when it is over. */
  respond(key: ServerKey, status: number, wire: string): void {
    this.#userCall(() => this.#layer.respond(key, status, wire, this.timers.nowMs()));
  }

  /** See `TransactionLayer.cancel`. */
  cancel(key: ClientKey, extraHeaders = ''): void {
    this.#userCall(() => this.#outgoing.cancel(key, extraHeaders));
  }

  /** Sends without a transaction: the ACK of a 2xx, or what a stateless proxy forwards. */
  sendStateless(wire: string, to: Destination): void {
    this.#outgoing.stateless(wire, to);
  }

  /** A destination that leads back over the connection, or to the address, that a message came from (RFC 5626 5.3). */
  static backOver(flow: Flow): Destination {
    const { transport, remoteAddress: address, remotePort: port, connection, localAddress, localPort } = flow;
    return { transport, address, port, localAddress, localPort, ...(connection !== undefined && { connection }) };
  }

  #userCall<T>(call: () => T): T {
    const outer = this.#inUserCall;
    this.#inUserCall = true;
    try {
      return call();
    } finally {
      this.#inUserCall = outer;
      if (!outer && this.#waiting.length > 0) queueMicrotask(() => this.#tellWaiting());
    }
  }

  #tellWaiting(): void {
    for (let event = this.#waiting.shift(); event !== undefined; event = this.#waiting.shift()) this.emit('sip', event);
  }

  #perform(effect: TransactionLayerEffect): void {
    switch (effect.kind) {
      case 'transmit':
        this.#transmitter.transmit(effect.wire, effect.to, effect.owner);
        break;
      case 'arm':
        this.#armed.arm(effect.timer, effect.atMs);
        break;
      case 'disarm':
        this.#armed.disarm(effect.timer);
        break;
      case 'toUser':
        this.#toUser(effect.event);
        break;
      default:
        effect satisfies never;
    }
  }

  #toUser(event: TransactionUserEvent): void {
    const known = event.kind === 'response' || event.kind === 'clientFailed' ? this.#outgoing.came(event) : event;
    if (known !== undefined) this.#tell(known);
  }

  #tell(event: TransactionUserEvent): void {
    if (this.#inUserCall) this.#waiting.push(event);
    else this.emit('sip', event);
  }
}
