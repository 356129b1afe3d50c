import type { Socket } from 'node:net';
import type { EventLoopTurns } from '../base/event-loop-turns.ts';
import type { Logger } from '../base/log.ts';
import type { Metrics } from '../base/metrics.ts';
import { own } from '../base/owned.ts';
import { buildResponse, isPriorityRequest, type ParsedMessage, parseMessage } from '../sip/index.ts';
import { responseDestination, statelessTag } from '../sip/transaction/derived.ts';
import { batchedSockets } from '../sip/transport/batched-socket.ts';
import type { SipListenerConfig } from '../sip/transport/config.ts';
import { CONNECTIONS_CUT_HELP } from '../sip/transport/endpoint-counters.ts';
import { hostPort, type SipTransport, standardTransports, type TrustedPeers } from '../sip/transport/index.ts';
import { RateLimit } from '../sip/transport/rate.ts';
import type { StreamLimits } from '../sip/transport/stream.ts';
import { isCut, isInvalidName } from '../sip/transport/transport.ts';
import type { Destination, Flow } from '../sip/types.ts';
import { FRAME, type FrameLink } from './frame-link.ts';
import { glance } from './glance.ts';
import { HashRing } from './ring.ts';
import type { AliasFrame, ClaimFrame, NameOfListener } from './types.ts';
import { FlowNumbers, WorkerLine } from './worker-line.ts';

export interface DispatcherOptions {
  /** Of the route token (R21). */
  readonly instance: string;
  readonly workers: number;
  readonly listeners: readonly SipListenerConfig[];
  readonly limits: Partial<StreamLimits>;
  /** Datagrams are taken and sent once per turn; default: each by itself. */
  readonly turns?: EventLoopTurns;
  readonly trustedPeers: TrustedPeers;
  readonly retryAfterSeconds: number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Answers of the dispatcher's own per second, all peers together. */
const MAX_REFUSALS_PER_SECOND = 1000;
const MAX_LOG_LINES_PER_SECOND = 5;
/** By these workers see how late they read what we give them. */
const TICK_MS = 100;
/** Calls remembered that are not where their Call-ID would have them. */
const MAX_ELSEWHERE = 10_000;

/**
 * One SIP address, several workers (design 7). It owns every socket, in both directions, and keeps no state of any call:
 * a message goes to the worker that its own identifiers name, a new call by its Call-ID. Bytes pass unread and unchanged
 * otherwise.
 */
export class WorkerDispatcher {
  readonly #options: DispatcherOptions;
  readonly #token: string;
  readonly #ring: HashRing;
  readonly #lines: readonly WorkerLine[];
  readonly #flows = new FlowNumbers(() => {
    for (const line of this.#lines) line.forgetFlows();
  });
  readonly #transports: SipTransport[] = [];
  /** Call-IDs of new calls that went elsewhere than to their home: their CANCEL and their ACK must follow. */
  readonly #elsewhere = new Map<string, number>();
  readonly #refusals = new RateLimit(MAX_REFUSALS_PER_SECOND);
  readonly #logLines = new RateLimit(MAX_LOG_LINES_PER_SECOND);
  readonly #count;
  readonly #ticks: NodeJS.Timeout;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#token = `${options.instance}.`;
    this.#ring = new HashRing(options.workers);
    this.#lines = Array.from({ length: options.workers }, () => new WorkerLine(() => this.#names()));
    this.#ticks = setInterval(() => {
      for (const line of this.#lines) line.tick(Date.now());
    }, TICK_MS);
    const { metrics } = options;
    const counter = (name: string, help: string) => metrics.counter(`imsdc_dispatcher_${name}_total`, help);
    this.#count = {
      received: counter('received', 'messages received'),
      sent: counter('sent', 'messages sent'),
      elsewhere: counter('elsewhere', 'new calls that went to another worker because theirs was away'),
      refused: counter('refused', 'new calls over connections refused because their worker was behind'),
      dropped: counter('dropped', 'messages dropped: their worker was too far behind, or away too long'),
      sendFailures: counter('send_failures', 'messages that could not be sent'),
      connectionsCut: counter('connections_cut', CONNECTIONS_CUT_HELP),
      trouble: counter('socket_trouble', 'refused or failed connections, full backlogs, socket errors'),
    };
    metrics.gaugeBy('imsdc_dispatcher_backlog_bytes', 'bytes that wait for a worker', 'worker', () =>
      Object.fromEntries(this.#lines.map((line, worker) => [worker, line.backlogBytes])),
    );
    metrics.gauge('imsdc_dispatcher_connections', 'open stream connections', () =>
      this.#transports.reduce((sum, { connections }) => sum + connections, 0),
    );
  }

  /** Binds every listener. Throws SIP_LISTEN or SIP_TLS, with everything closed again. */
  async start(): Promise<void> {
    const { limits, turns, log } = this.#options;
    const make = standardTransports(limits, turns && batchedSockets(turns, log));
    try {
      for (const [listener, config] of this.#options.listeners.entries()) {
        const transport: SipTransport = make(
          config.transport,
          { address: config.address, port: config.port },
          {
            received: (bytes, flow) => this.#received(bytes, listener, flow),
            broken: (status, reason, bytes, flow) => this.#broken(status, reason, bytes, listener, flow),
            trouble: (what, detail) => this.#trouble(what, detail),
            trusts: (peer) => this.#options.trustedPeers.trustsFlow(peer),
          },
          config,
        );
        await transport.start();
        this.#transports.push(transport);
      }
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** The configured listeners with the ports that they have got: what workers are configured with. */
  get listeners(): SipListenerConfig[] {
    return this.#options.listeners.map((config, listener) => ({
      ...config,
      port: this.#transports[listener]?.local.port ?? config.port,
    }));
  }

  /** A process of `worker` has been started and is at the other end of `socket`; it is up when it says that it serves. */
  attach(worker: number, socket: Socket): void {
    const line = this.#lines[worker];
    if (line === undefined) throw new RangeError(`no worker ${worker}`);
    const link: FrameLink = line.attach(
      socket,
      (kind, body) => this.#frame(link, kind, body),
      (problem) => this.#options.log.warn({ worker, problem }, 'a worker has gone'),
    );
  }

  async close(): Promise<void> {
    clearInterval(this.#ticks);
    await Promise.all(this.#transports.map((transport) => transport.close()));
    for (const line of this.#lines) line.close();
  }

  // From peers to workers

  #received(bytes: Buffer, listener: number, flow: Flow): void {
    this.#count.received.value++;
    if (bytes.length <= 4) return; // keep-alives (RFC 5626 4.4.1)
    const { method, worker: named, callId } = glance(bytes.toString('latin1'), this.#token);
    const known = named >= 0 && named < this.#lines.length;
    const worker = known ? named : this.#workerOfCall(method, callId);
    const line = this.#lines[worker]!;
    // A datagram that is refused here may be the repetition of one that waits there: the worker knows, and refuses by its
    // own lag. Over a connection nothing comes twice.
    if (!known && flow.connection !== undefined && line.isBusy && this.#refused(bytes, listener, flow)) return;
    // A request that names a dialog of ours, and yet is none inside it (INVITE with Replaces): its CANCEL names nothing.
    if (known && callId !== '' && method === 'INVITE' && this.#ring.home(callId) !== worker)
      this.#follow(callId, worker);
    if (!line.deliver(this.#flows.of(listener, flow), bytes)) this.#count.dropped.value++;
  }

  #workerOfCall(method: string, callId: string): number {
    const followed = this.#elsewhere.size === 0 ? undefined : this.#elsewhere.get(callId);
    if (followed !== undefined) return followed;
    const home = this.#ring.home(callId);
    // What follows a call waits for the worker that is being started again; a new call need not.
    if (method === '' || method === 'CANCEL' || method === 'ACK' || this.#lines[home]!.isUp) return home;
    const worker = this.#ring.pick(callId, (one) => this.#lines[one]!.isUp);
    if (worker !== home) {
      this.#count.elsewhere.value++;
      this.#follow(callId, worker);
    }
    return worker;
  }

  #follow(callId: string, worker: number): void {
    if (this.#elsewhere.size >= MAX_ELSEWHERE) {
      const oldest = this.#elsewhere.keys().next();
      if (oldest.done !== true) this.#elsewhere.delete(oldest.value);
    }
    this.#elsewhere.set(own(callId), worker);
  }

  /** 503 to a new call: the S-CSCF goes on without us, or comes back. False: it is none, or may not be refused. */
  #refused(bytes: Buffer, listener: number, flow: Flow): boolean {
    const result = parseMessage(bytes);
    if (!('message' in result) || !this.#options.trustedPeers.trustsFlow(flow)) return false;
    const { message } = result;
    if (message.method !== 'INVITE' || !message.isRequest || message.toTag !== '' || isPriorityRequest(message))
      return false;
    this.#count.refused.value++;
    this.#refuse(message, 503, undefined, `Retry-After: ${this.#options.retryAfterSeconds}\r\n`, listener, flow);
    return true;
  }

  /** A stream that cannot be followed is answered here, because it is closed right afterwards. */
  #broken(status: number, reason: string, bytes: Buffer, listener: number, flow: Flow): void {
    if (!this.#options.trustedPeers.trustsFlow(flow)) return;
    const head = bytes.indexOf('\r\n\r\n', 0, 'latin1');
    const result = parseMessage(head < 0 ? bytes : bytes.subarray(0, head + 4));
    const message = 'message' in result ? result.message : result.error.replyable;
    if (message?.isRequest === true) this.#refuse(message, status, reason, '', listener, flow);
  }

  #refuse(
    request: ParsedMessage,
    status: number,
    reason: string | undefined,
    headers: string,
    listener: number,
    flow: Flow,
  ): void {
    if (request.method === 'ACK' || !this.#refusals.allows(Date.now())) return;
    request.stampReceived(flow.remoteAddress, flow.remotePort);
    const toTag = statelessTag(request, this.#token);
    const wire = buildResponse(request, status, { toTag, headers, ...(reason !== undefined && { reason }) });
    this.#send(this.#transports[listener], wire, responseDestination(request, flow));
  }

  // From workers to peers

  #frame(link: FrameLink, kind: number, body: Buffer): void {
    switch (kind) {
      case FRAME.datagram: {
        const addressEnd = 8 + body[7]!;
        const to: Destination = {
          transport: 'udp',
          address: body.toString('latin1', 8, addressEnd),
          port: body.readUInt16LE(5),
        };
        this.#send(this.#transports[body[4]!], body.subarray(addressEnd), to, link, body.readUInt32LE(0));
        return;
      }
      case FRAME.stream: {
        const messageStart = 7 + body.readUInt16LE(5);
        const to = JSON.parse(body.toString('utf8', 7, messageStart)) as Destination;
        const transport = isInvalidName(to.address) ? this.#holderOf(to.address) : undefined;
        const message = body.subarray(messageStart);
        this.#send(transport ?? this.#transports[body[4]!], message, to, link, body.readUInt32LE(0));
        return;
      }
      case FRAME.alias: {
        const { listener, connection, address, port } = JSON.parse(body.toString('utf8', 4)) as AliasFrame;
        this.#transports[listener]?.alias?.(connection, address, port);
        return;
      }
      case FRAME.claim: {
        const { listener, connection, name } = JSON.parse(body.toString('utf8', 4)) as ClaimFrame;
        const transport = this.#transports[listener];
        transport?.claimName?.(connection, name);
        // Any worker may have to call there.
        if (transport?.holdsName?.(name) === true)
          for (const line of this.#lines) line.tellName(listener, name.toLowerCase());
        return;
      }
      default:
    }
  }

  *#names(): Iterable<NameOfListener> {
    for (const [listener, { names }] of this.#transports.entries())
      for (const name of names ?? []) yield { listener, name };
  }

  #holderOf(name: string): SipTransport | undefined {
    return this.#transports.find((transport) => transport.holdsName?.(name) === true);
  }

  #send(
    transport: SipTransport | undefined,
    wire: string | Buffer,
    to: Destination,
    link?: FrameLink,
    sequence = 0,
  ): void {
    this.#count.sent.value++;
    const onFailed = (error: Error): void => {
      this.#count.sendFailures.value++;
      link?.sendText(FRAME.failed, sequence, error.message);
      this.#warn('sip: cannot send', { to: hostPort(to.address, to.port), problem: error.message });
    };
    if (transport === undefined) onFailed(new Error(`no ${to.transport} listener`));
    else transport.send(wire, to, onFailed);
  }

  #trouble(what: string, detail: string): void {
    this.#count.trouble.value++;
    if (isCut(what)) this.#count.connectionsCut.value++;
    this.#warn(`sip: ${what}`, { detail });
  }

  #warn(text: string, fields: Record<string, unknown>): void {
    if (!this.#logLines.allows(Date.now())) return;
    const suppressed = this.#logLines.takeSuppressed();
    this.#options.log.warn(suppressed === 0 ? fields : { ...fields, suppressed }, text);
  }
}
