import { TypedEmitter } from '../../base/emitter.ts';
import type { IdMint } from '../../base/ids.ts';
import type { Logger } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics.ts';
import type { Timer, Timers } from '../../base/timers.ts';
import { buildResponse, type ParsedMessage, parseMessage } from '../message/index.ts';
import type { OverloadControl } from '../overload/index.ts';
import { defaultPort, responseDestination, statelessTag } from '../transaction/derived.ts';
import { clientKey, MAGIC_COOKIE, type TimerValues, Transactions } from '../transaction/index.ts';
import type {
  ClientKey,
  Destination,
  Flow,
  ServerKey,
  TransactionLayerEffect,
  TransactionUserEvent,
  Transport,
} from '../types.ts';
import type { SipListenerConfig } from './config.ts';
import { countersOf, type EndpointCounters, gaugesOf } from './endpoint-counters.ts';
import { standardTransports, type TransportFactory } from './factory.ts';
import { LargeRequests } from './large-requests.ts';
import { Listeners } from './listeners.ts';
import { LoopLag } from './loop-lag.ts';
import { RateLimit } from './rate.ts';
import { type NameServer, Resolver } from './resolver.ts';
import { hostPort, isInvalidName, type SipTransport, type TransportSink } from './transport.ts';
import type { TrustedPeers } from './trust.ts';

/** Answers to malformed requests per second, all peers together. */
const MAX_ERROR_REPLIES_PER_SECOND = 100;
/** Log lines about malformed messages and socket trouble per second. */
const MAX_LOG_LINES_PER_SECOND = 5;

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
  readonly #armed = new Map<number, Timer>();
  readonly #errorReplies = new RateLimit(MAX_ERROR_REPLIES_PER_SECOND);
  readonly #logLines = new RateLimit(MAX_LOG_LINES_PER_SECOND);
  readonly #count: EndpointCounters;
  readonly #large: LargeRequests;
  readonly #waiting: TransactionUserEvent[] = [];
  #lag: { close(): void } | undefined;
  #inUserCall = false;
  #closed = false;

  constructor(options: SipEndpointOptions) {
    super();
    this.#options = options;
    this.timers = options.timers;
    this.#count = countersOf(options.metrics);
    this.#resolver = new Resolver({ nowMs: () => this.timers.nowMs(), nameServer: options.nameServer });
    this.#layer = new Transactions(
      { emit: (effect) => this.#perform(effect) },
      {
        timers: options.transactionTimers,
        maxServers: options.maxTransactions,
        maxClients: options.maxTransactions === undefined ? undefined : options.maxTransactions * 2,
        tagSalt: options.ids.prefix,
        ...(options.overload && { admit: (...request) => options.overload?.admit(...request) }),
      },
    );
    this.#large = new LargeRequests({
      udpMtuBytes: options.udpMtuBytes ?? 0,
      sentBy: (to) => this.#listeners.nameFor(to),
    });
    gaugesOf(options.metrics, {
      transactions: () => this.#layer.size.clients + this.#layer.size.servers,
      connections: () => this.#listeners.connections,
      overload: options.overload,
    });
  }

  /** Binds every listener. Throws SIP_LISTEN, with everything closed again. */
  async start(): Promise<void> {
    const { maxConnections, idleTimeoutMs, keepAliveMs, transports, overload } = this.#options;
    const limits = {
      ...(maxConnections && { maxConnections }),
      ...(idleTimeoutMs && { idleTimeoutMs }),
      ...(keepAliveMs && { keepAliveMs }),
    };
    const make = transports ?? standardTransports(limits);
    try {
      for (const config of this.#options.listeners) {
        await this.#listeners.add(config, make, (transport) => this.#sinkOf(transport));
      }
    } catch (error) {
      await this.close();
      throw error;
    }
    if (overload === undefined) return;
    const observe = (lagMs: number) => overload.observeLag(lagMs);
    this.#lag = this.#options.lag?.(observe) ?? new LoopLag(this.timers, observe);
  }

  #sinkOf(transport: () => SipTransport): TransportSink {
    return {
      received: (bytes, flow) => this.#received(bytes, flow, transport()),
      broken: (status, reason, bytes, flow) => this.#broken(status, reason, bytes, flow),
      trouble: (what, detail) => this.#trouble(what, detail),
    };
  }

  /** Forgets every transaction and closes the sockets; what is sent afterwards goes nowhere. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#lag?.close();
    for (const timer of this.#armed.values()) timer.cancel();
    this.#armed.clear();
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
    return `SIP/2.0/${transport.toUpperCase()} ${host};branch=${branch};rport${reuse}`;
  }

  /** host:port of the listener that sends to `to`: what a Contact or Record-Route for that side names. */
  hostFor(to: Destination): string {
    return this.#listeners.hostFor(to);
  }

  /** RFC 3263: where a Request-URI or Route value leads, in the order to try. Rejects with SIP_UNROUTABLE. */
  resolve(uriOrRoute: string): Promise<Destination[]> {
    return this.#resolver.resolve(uriOrRoute);
  }

  /**
   * Starts a client transaction. `wire` carries our Via with `branch` on top. A large request may take TCP instead of UDP
   * (`udpMtuBytes`); its user sees nothing of that.
   */
  request(options: { wire: string; method: string; branch: string; to: Destination }): ClientKey {
    return this.#userCall(() => {
      const nowMs = this.timers.nowMs();
      const tcp = this.#large.overTcp(options.wire, options.to, nowMs);
      if (tcp === undefined) return this.#layer.request(options, nowMs);
      this.#count.movedToTcp.value++;
      const key = clientKey(options.branch, options.method);
      this.#large.attempted(key, options);
      return this.#layer.request({ ...options, ...tcp }, nowMs);
    });
  }

  /** Sends a response in the server transaction `key`; nothing happens when it is over. */
  respond(key: ServerKey, status: number, wire: string): void {
    this.#userCall(() => this.#layer.respond(key, status, wire, this.timers.nowMs()));
  }

  /** See `TransactionLayer.cancel`. */
  cancel(key: ClientKey, extraHeaders = ''): void {
    this.#large.cancelled(key, extraHeaders);
    this.#userCall(() => this.#layer.cancel(key, this.timers.nowMs(), extraHeaders));
  }

  /** Sends without a transaction: the ACK of a 2xx, or what a stateless proxy forwards. */
  sendStateless(wire: string, to: Destination): void {
    const tcp = wire.startsWith('SIP/2.0 ') ? undefined : this.#large.overTcp(wire, to, this.timers.nowMs());
    if (tcp === undefined) this.#transmit(wire, to, null);
    else
      this.#transmit(tcp.wire, tcp.to, null, () => {
        this.#large.refuse(to, this.timers.nowMs());
        this.#transmit(wire, to, null);
      });
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
        this.#transmit(effect.wire, effect.to, effect.owner);
        break;
      case 'arm':
        this.#arm(effect.timer, effect.atMs);
        break;
      case 'disarm':
        this.#armed.get(effect.timer)?.cancel();
        this.#armed.delete(effect.timer);
        break;
      case 'toUser':
        if (this.#staysInside(effect.event)) break;
        if (this.#inUserCall) this.#waiting.push(effect.event);
        else this.emit('sip', effect.event);
        break;
      default:
        effect satisfies never;
    }
  }

  /** A large request whose TCP connection failed goes over UDP, under the same key. */
  #staysInside(event: TransactionUserEvent): boolean {
    if (this.#large.size === 0 || (event.kind !== 'response' && event.kind !== 'clientFailed')) return false;
    const nowMs = this.timers.nowMs();
    const failed = event.kind === 'clientFailed' && event.reason === 'transport';
    const again = failed ? this.#large.refused(event.key, nowMs) : undefined;
    this.#large.settled(event.key);
    if (again === undefined) return false;
    this.#count.backToUdp.value++;
    this.#layer.request(again, nowMs);
    if (again.cancel !== undefined) this.#layer.cancel(event.key, nowMs, again.cancel);
    return true;
  }

  #arm(id: number, atMs: number): void {
    if (this.#closed) return;
    const timer = this.timers.after(atMs - this.timers.nowMs(), () => {
      this.#armed.delete(id);
      this.#layer.timerDue(id, this.timers.nowMs());
    });
    this.#armed.get(id)?.cancel();
    this.#armed.set(id, timer);
  }

  #transmit(wire: string, to: Destination, owner: ServerKey | ClientKey | null, otherwise?: () => void): void {
    if (this.#closed) return;
    const transport = this.#listeners.find(to);
    this.#count.sent.value++;
    const onFailed = (error: Error): void => {
      if (otherwise !== undefined) {
        otherwise();
        return;
      }
      this.#count.sendFailures.value++;
      this.#warn('sip: cannot send', { to: hostPort(to.address, to.port), problem: error.message });
      if (owner !== null && !this.#closed) this.#layer.transportFailed(owner, this.timers.nowMs());
    };
    if (transport === undefined) queueMicrotask(() => onFailed(new Error(`no ${to.transport} listener`)));
    else transport.send(wire, to, onFailed);
  }

  #received(bytes: Buffer, flow: Flow, transport: SipTransport): void {
    this.#count.received.value++;
    // RFC 5626 4.4.1: keep-alives are shorter than any SIP message.
    if (bytes.length <= 4) return;
    const result = parseMessage(bytes);
    const stranger = this.#options.trustedPeers?.trustsFlow(flow) === false;
    if ('error' in result) {
      // Strangers learn nothing of us from noise.
      if (stranger) this.#count.strangers.value++;
      else this.#malformed(result.error, flow);
      return;
    }
    const { message } = result;
    const nowMs = this.timers.nowMs();
    if (message.isRequest) {
      if (stranger) {
        this.#count.strangers.value++;
        this.#refuse(message, 403, 'Not a Trusted Peer', flow);
        return;
      }
      message.stampReceived(flow.remoteAddress, flow.remotePort, this.#options.overload?.feedback(message, nowMs));
      if (flow.connection !== undefined) rememberPeer(transport, flow.connection, message, flow);
    } else if (!this.#listeners.owns(message.via)) {
      this.#count.foreignResponses.value++; // RFC 3261 18.1.2: not the answer to a request of ours.
      return;
    }
    this.#layer.receive(message, flow, nowMs);
  }

  #broken(status: number, reason: string, bytes: Buffer, flow: Flow): void {
    if (this.#options.trustedPeers?.trustsFlow(flow) === false) {
      this.#count.strangers.value++;
      return;
    }
    const result = parseMessage(bytes.subarray(0, endOfHead(bytes)));
    const replyable =
      'error' in result ? result.error.replyable : result.message.isRequest ? result.message : undefined;
    this.#malformed({ status, reason, replyable }, flow);
  }

  /** 8.2: a precise answer where the request can be answered at all; never more than the limit, never to an ACK. */
  #malformed(error: { status: number; reason: string; replyable: ParsedMessage | undefined }, flow: Flow): void {
    this.#count.malformed.value++;
    this.#warn('sip: malformed message', {
      from: hostPort(flow.remoteAddress, flow.remotePort),
      problem: error.reason,
    });
    if (error.replyable !== undefined) this.#refuse(error.replyable, error.status, error.reason, flow);
  }

  #refuse(request: ParsedMessage, status: number, reason: string, flow: Flow): void {
    if (request.method === 'ACK' || !this.#errorReplies.allows(this.timers.nowMs())) return;
    request.stampReceived(flow.remoteAddress, flow.remotePort);
    const toTag = statelessTag(request, this.#options.ids.prefix);
    const wire = buildResponse(request, status, { reason, toTag });
    this.#transmit(wire, responseDestination(request, flow), null);
  }

  #trouble(what: string, detail: string): void {
    this.#count.trouble.value++;
    this.#warn(`sip: ${what}`, { detail });
  }

  #warn(text: string, fields: Record<string, unknown>): void {
    if (!this.#logLines.allows(this.timers.nowMs())) return;
    const suppressed = this.#logLines.takeSuppressed();
    this.#options.log.warn(suppressed === 0 ? fields : { ...fields, suppressed }, text);
  }
}

/** Just past the blank line, so that a body that never came does not hide the headers. */
function endOfHead(bytes: Buffer): number {
  const at = bytes.indexOf('\r\n\r\n', 0, 'latin1');
  return at < 0 ? bytes.length : at + 4;
}

/** Connections are used both ways: RFC 5923 by `alias`, RFC 7118 5.1 by the client's `.invalid` name. */
function rememberPeer(transport: SipTransport, connection: string, request: ParsedMessage, flow: Flow): void {
  const { via } = request;
  if (via.params.has('alias'))
    transport.alias?.(connection, flow.remoteAddress, via.port || defaultPort(flow.transport));
  else if (isInvalidName(via.host)) transport.claimName?.(connection, via.host);
}
