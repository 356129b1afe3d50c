import { buildResponse, isPriorityRequest, type Refusal, type ResponseOptions } from '../message/index.ts';
import type {
  ClientKey,
  Destination,
  Flow,
  ServerKey,
  SipMessage,
  TransactionLayer,
  TransactionLayerSink,
  TransactionTimerHandle,
  TransactionUserEvent,
} from '../types.ts';
import { ackOf, cancelOf, responseDestination, statelessTag } from './derived.ts';
import { clientKey, mergeKey, serverKey } from './keys.ts';
import {
  type Client,
  type ClientEvent,
  collector,
  newClientMachine,
  newServerMachine,
  RecordTimer,
  type Server,
  type ServerEvent,
  stepClient,
  stepServer,
  timerOf,
} from './records.ts';
import { RFC3261_TIMERS, type TimerValues, type TransactionEffect, type TransactionEnvironment } from './timing.ts';

export interface TransactionLayerOptions {
  readonly timers?: TimerValues;
  /**
   * Above it a request outside a dialog gets 503; inside one, and for priority requests, above 1.25 times it, so that
   * calls can still end.
   */
  readonly maxServers?: number;
  /** Above it `request` reports clientFailed/overload. */
  readonly maxClients?: number;
  /** Seconds in the Retry-After of a 503. */
  readonly retryAfterSeconds?: number;
  /** Asked once for each new request outside dialogs, after retransmissions and merges are out: overload control. */
  readonly admit?: (message: SipMessage, flow: Flow, nowMs: number) => Refusal | undefined;
  /** Told of each response to a request of ours, and where that had gone. */
  readonly heard?: (message: SipMessage, from: Destination, nowMs: number) => void;
  /** Salt of the To tags that the layer puts into its own answers. */
  readonly tagSalt?: string;
}

/** One INVITE per call lives 32 s here: 100,000 is about 1,000 calls/s of three transactions each. */
export const DEFAULT_MAX_TRANSACTIONS = 100_000;

/** See `TransactionLayer`. Calls back into it from its own sink are allowed: state is in place before effects go out. */
export class Transactions implements TransactionLayer {
  readonly #out: TransactionLayerSink;
  readonly #options: Required<TransactionLayerOptions>;
  readonly #servers = new Map<ServerKey, Server>();
  readonly #clients = new Map<ClientKey, Client>();
  readonly #merges = new Map<string, Server>();
  readonly #unreliable: TransactionEnvironment;
  readonly #reliable: TransactionEnvironment;

  constructor(out: TransactionLayerSink, options: TransactionLayerOptions = {}) {
    this.#out = out;
    this.#options = {
      timers: options.timers ?? RFC3261_TIMERS,
      maxServers: options.maxServers ?? DEFAULT_MAX_TRANSACTIONS,
      maxClients: options.maxClients ?? DEFAULT_MAX_TRANSACTIONS,
      retryAfterSeconds: options.retryAfterSeconds ?? 2,
      tagSalt: options.tagSalt ?? '',
      admit: options.admit ?? (() => undefined),
      heard: options.heard ?? (() => undefined),
    };
    this.#unreliable = { ...this.#options.timers, reliable: false };
    this.#reliable = { ...this.#options.timers, reliable: true };
  }

  get size(): { clients: number; servers: number } {
    return { clients: this.#clients.size, servers: this.#servers.size };
  }

  receive(message: SipMessage, flow: Flow, nowMs: number): void {
    if (!message.isRequest) this.#receiveResponse(message, nowMs);
    else if (message.method === 'ACK') this.#receiveAck(message, flow, nowMs);
    else if (message.method === 'CANCEL') this.#receiveCancel(message, flow);
    else this.#receiveRequest(message, flow, nowMs);
  }

  #receiveRequest(message: SipMessage, flow: Flow, nowMs: number): void {
    const key = serverKey(message);
    const known = this.#servers.get(key);
    if (known !== undefined) {
      this.#runServer(known, { kind: 'request' }, nowMs);
      return;
    }
    const { maxServers } = this.#options;
    const inDialog = message.toTag !== '';
    const full = this.#servers.size >= maxServers;
    if (full && (this.#servers.size >= maxServers * 1.25 || !(inDialog || isPriorityRequest(message)))) {
      this.#answer(message, flow, 503, { headers: `Retry-After: ${this.#options.retryAfterSeconds}\r\n` });
      return;
    }
    const merge = mergeKey(message);
    if (merge !== '' && this.#merges.has(merge)) {
      this.#answer(message, flow, 482);
      return;
    }
    const refusal = inDialog ? undefined : this.#options.admit(message, flow, nowMs);
    if (refusal !== undefined) {
      const { status, reason, headers } = refusal;
      this.#answer(message, flow, status, { headers, ...(reason !== undefined && { reason }) });
      return;
    }
    const server: Server = {
      side: 'server',
      key,
      timers: undefined,
      to: responseDestination(message, flow),
      env: flow.transport === 'udp' ? this.#unreliable : this.#reliable,
      merge,
      machine: newServerMachine(message.method),
      cancelled: false,
    };
    this.#servers.set(key, server);
    if (merge !== '') this.#merges.set(merge, server);
    // R15, RFC 3261 17.2.1: the peer's timer A must stop while the call is held for the DCSF.
    if (message.method === 'INVITE') {
      this.#runServer(server, { kind: 'respond', status: 100, wire: buildResponse(message, 100) }, nowMs);
    }
    this.#toUser({ kind: 'request', key, message, flow });
  }

  #receiveAck(message: SipMessage, flow: Flow, nowMs: number): void {
    const server = this.#servers.get(serverKey(message, 'INVITE'));
    if (server === undefined) this.#toUser({ kind: 'ack', message, flow });
    else this.#runServer(server, { kind: 'ack' }, nowMs, { kind: 'ack', message, flow });
  }

  /**
   * RFC 3261 9.2. Answered without a transaction of its own: a repeated CANCEL gets the same answer again, and costs us
   * nothing for 32 s.
   */
  #receiveCancel(message: SipMessage, flow: Flow): void {
    const server = this.#servers.get(serverKey(message, 'INVITE'));
    if (server === undefined) {
      this.#answer(message, flow, 481);
      return;
    }
    this.#answer(message, flow, 200);
    if (server.cancelled || server.machine.state.state !== 'proceeding') return;
    server.cancelled = true;
    this.#toUser({ kind: 'cancel', key: server.key, message });
  }

  #receiveResponse(message: SipMessage, nowMs: number): void {
    const client = this.#clients.get(clientKey(message.via.branch, message.method));
    if (client === undefined) {
      this.#toUser({ kind: 'strayResponse', message });
      return;
    }
    this.#options.heard(message, client.to, nowMs);
    const { status } = message;
    const user: TransactionUserEvent = { kind: 'response', key: client.key, message };
    if (client.machine.kind === 'other') {
      this.#runClient(client, { kind: 'response', status }, nowMs, user);
      return;
    }
    const { state } = client.machine;
    const open = state.state === 'calling' || state.state === 'proceeding';
    const ack = open && status >= 300 ? ackOf(state.wire, message) : '';
    if (status >= 200) client.cancelWaits = undefined;
    this.#runClient(client, { kind: 'response', status, ack }, nowMs, user);
    if (client.cancelWaits !== undefined) this.#sendCancel(client, client.cancelWaits, nowMs);
  }

  request(options: { wire: string; method: string; branch: string; to: Destination }, nowMs: number): ClientKey {
    return this.#start(options, false, nowMs);
  }

  #start(
    options: { wire: string; method: string; branch: string; to: Destination },
    internal: boolean,
    nowMs: number,
  ): ClientKey {
    const key = clientKey(options.branch, options.method);
    if (!internal && this.#clients.size >= this.#options.maxClients) {
      this.#toUser({ kind: 'clientFailed', key, reason: 'overload' });
      return key;
    }
    const env = options.to.transport === 'udp' ? this.#unreliable : this.#reliable;
    const effects: TransactionEffect[] = [];
    const machine = newClientMachine(options.method, options.wire, env, collector(effects));
    const client: Client = {
      side: 'client',
      key,
      timers: undefined,
      to: options.to,
      env,
      branch: options.branch,
      machine,
      internal,
      cancelWaits: undefined,
      cancelSent: false,
    };
    this.#clients.set(key, client);
    this.#perform(client, effects, nowMs, undefined);
    return key;
  }

  cancel(key: ClientKey, nowMs: number, extraHeaders = ''): void {
    const client = this.#clients.get(key);
    if (client === undefined || client.machine.kind !== 'invite' || client.cancelSent) return;
    if (client.machine.state.state === 'proceeding') this.#sendCancel(client, extraHeaders, nowMs);
    else if (client.machine.state.state === 'calling') client.cancelWaits ??= extraHeaders;
  }

  #sendCancel(client: Client, extraHeaders: string, nowMs: number): void {
    const { state } = client.machine;
    if (state.state !== 'proceeding') return;
    client.cancelWaits = undefined;
    client.cancelSent = true;
    const wire = cancelOf(state.wire, extraHeaders);
    this.#runClient(client, { kind: 'cancelled' }, nowMs);
    this.#start({ wire, method: 'CANCEL', branch: client.branch, to: client.to }, true, nowMs);
  }

  respond(key: ServerKey, status: number, wire: string, nowMs: number): void {
    const server = this.#servers.get(key);
    if (server !== undefined) this.#runServer(server, { kind: 'respond', status, wire }, nowMs);
  }

  timerDue(timer: TransactionTimerHandle, nowMs: number): void {
    if (!(timer instanceof RecordTimer)) return;
    const { record, name } = timer;
    if (record.machine.state.state === 'terminated') return;
    if (record.side === 'server') this.#runServer(record, { kind: 'timer', timer: name }, nowMs);
    else this.#runClient(record, { kind: 'timer', timer: name }, nowMs);
  }

  transportFailed(owner: ServerKey | ClientKey, nowMs: number): void {
    const client = this.#clients.get(owner as ClientKey);
    const server = this.#servers.get(owner as ServerKey);
    if (client !== undefined) this.#runClient(client, { kind: 'transportFailed' }, nowMs);
    if (server !== undefined) this.#runServer(server, { kind: 'transportFailed' }, nowMs);
  }

  close(): void {
    for (const records of [this.#clients, this.#servers]) {
      for (const { timers } of records.values()) {
        for (let timer = timers; timer !== undefined; timer = timer.next) this.#out.emit({ kind: 'disarm', timer });
      }
      records.clear();
    }
    this.#merges.clear();
  }

  #runServer(server: Server, event: ServerEvent, nowMs: number, user?: TransactionUserEvent): void {
    this.#perform(server, stepServer(server, event), nowMs, user);
  }

  #runClient(client: Client, event: ClientEvent, nowMs: number, user?: TransactionUserEvent): void {
    this.#perform(client, stepClient(client, event), nowMs, user);
  }

  /** `user` is what a `pass` hands on. */
  #perform(
    record: Server | Client,
    effects: TransactionEffect[],
    nowMs: number,
    user: TransactionUserEvent | undefined,
  ): void {
    if (record.machine.state.state === 'terminated') this.#forget(record);
    for (const effect of effects) {
      switch (effect.kind) {
        case 'transmit':
          this.#out.emit({ kind: 'transmit', wire: effect.wire, to: record.to, owner: record.key });
          break;
        case 'arm':
          this.#out.emit({ kind: 'arm', timer: timerOf(record, effect.timer), atMs: nowMs + effect.afterMs });
          break;
        case 'disarm':
          this.#out.emit({ kind: 'disarm', timer: timerOf(record, effect.timer) });
          break;
        case 'pass':
          if (user !== undefined) this.#toUser(user, record);
          break;
        case 'failed':
          if (record.side === 'server') this.#toUser({ kind: 'serverFailed', key: record.key, reason: effect.reason });
          else this.#toUser({ kind: 'clientFailed', key: record.key, reason: effect.reason }, record);
          break;
        default:
          effect satisfies never;
      }
    }
  }

  #forget(record: Server | Client): void {
    if (record.side === 'client') this.#clients.delete(record.key);
    else {
      this.#servers.delete(record.key);
      if (record.merge !== '') this.#merges.delete(record.merge);
    }
  }

  #toUser(event: TransactionUserEvent, from?: Server | Client): void {
    if (from?.side === 'client' && from.internal) return;
    this.#out.emit({ kind: 'toUser', event });
  }

  /** A response without a transaction. */
  #answer(message: SipMessage, flow: Flow, status: number, options: ResponseOptions = {}): void {
    const wire = buildResponse(message, status, { toTag: statelessTag(message, this.#options.tagSalt), ...options });
    this.#out.emit({ kind: 'transmit', wire, to: responseDestination(message, flow), owner: null });
  }
}
