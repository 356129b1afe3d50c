import { withTopVia } from '../message/index.ts';
import type { ClientKey, Destination } from '../types.ts';
import { hostPort } from './transport.ts';

/** A next hop that has refused TCP is not tried again for so long. */
const REFUSAL_MS = 5 * 60_000;
const MAX_REFUSALS = 1000;
/** A gate that drops TCP silently must not hold a call up for long. */
const CONNECT_WITHIN_MS = 1000;

interface Attempt {
  readonly wire: string;
  readonly method: string;
  readonly branch: string;
  readonly to: Destination;
  /** Headers of a CANCEL that was asked for while the attempt was open. */
  cancel: string | undefined;
}

export interface LargeRequestsOptions {
  /** 0: never. */
  readonly udpMtuBytes: number;
  /** host:port of the listener that sends to `to`; undefined: there is none. */
  readonly sentBy: (to: Destination) => string | undefined;
}

/**
 * RFC 3261 18.1.1: a request above 1300 bytes goes over TCP, because fragments of a datagram are lost as one and often
 * dropped on their way; with TCP refused it goes over UDP after all, which is what keeps calls up towards the many peers
 * without TCP. Only the topmost Via says which way was taken.
 */
export class LargeRequests {
  readonly #options: LargeRequestsOptions;
  readonly #attempts = new Map<ClientKey, Attempt>();
  readonly #refusedUntil = new Map<string, number>();

  constructor(options: LargeRequestsOptions) {
    this.#options = options;
  }

  /** Attempts over TCP that have not been answered yet. */
  get size(): number {
    return this.#attempts.size;
  }

  /** The same request over TCP; undefined: it goes as it is. */
  overTcp(wire: string, to: Destination, nowMs: number): { wire: string; to: Destination } | undefined {
    const { udpMtuBytes, sentBy } = this.#options;
    if (to.transport !== 'udp' || udpMtuBytes === 0 || wire.length <= udpMtuBytes) return undefined;
    if (to.transportFixed === true) return undefined;
    const refusedUntil = this.#refusedUntil.get(hostPort(to.address, to.port));
    if (refusedUntil !== undefined && refusedUntil > nowMs) return undefined;
    const { localAddress: _address, localPort: _port, ...rest } = to;
    const tcp: Destination = { ...rest, transport: 'tcp', connectWithinMs: CONNECT_WITHIN_MS };
    const host = sentBy(tcp);
    return host === undefined ? undefined : { wire: withTopVia(wire, 'tcp', host), to: tcp };
  }

  /** The request `key` is on its way over TCP. */
  attempted(key: ClientKey, request: { wire: string; method: string; branch: string; to: Destination }): void {
    this.#attempts.set(key, { ...request, cancel: undefined });
  }

  cancelled(key: ClientKey, headers: string): void {
    const attempt = this.#attempts.get(key);
    if (attempt !== undefined) attempt.cancel ??= headers;
  }

  /** It was answered or given up: the way needs no second thought. */
  settled(key: ClientKey): void {
    this.#attempts.delete(key);
  }

  /** TCP has failed before any answer: what to send over UDP instead, and not to try TCP there for a while. */
  refused(key: ClientKey, nowMs: number): Attempt | undefined {
    const attempt = this.#attempts.get(key);
    if (attempt === undefined) return undefined;
    this.#attempts.delete(key);
    this.refuse(attempt.to, nowMs);
    return attempt;
  }

  refuse(to: Destination, nowMs: number): void {
    if (this.#refusedUntil.size >= MAX_REFUSALS) this.#refusedUntil.clear();
    this.#refusedUntil.set(hostPort(to.address, to.port), nowMs + REFUSAL_MS);
  }
}
