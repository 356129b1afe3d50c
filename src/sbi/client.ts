import type { Logger } from '../base/log.ts';
import type { Counter, Metrics } from '../base/metrics.ts';
import { ImsdcError } from '../errors.ts';
import { formatMaxResponseTime, formatRequestInfo, formatSenderTimestamp, SBI_HEADER } from './headers.ts';
import { encodeField, fieldEncoder } from './http2/header-block.ts';
import { Http2Peer, type RawResponse } from './http2-peer.ts';
import { parseJson } from './json.ts';
import type { SbiTls } from './tls.ts';

export interface SbiClientOptions {
  /** `{apiRoot}` of the producer: `http://127.0.0.1:7780` or `https://mf1.example.net:7443/prefix`. */
  readonly apiRoot: string;
  /** `IMS_AS-<instance>`: NF type and instance (TS 29.500 5.2.2.2); our MF ties leases to it. */
  readonly userAgent: string;
  readonly tls?: SbiTls | undefined;
  readonly log: Logger;
  readonly metrics?: Metrics;
  readonly maxInFlight?: number;
  readonly maxResponseBytes?: number;
  readonly pingIntervalMs?: number;
  /** Origins that 307/308 may lead to, besides the producer's own (TS 29.500 6.10.9). */
  readonly redirectOrigins?: readonly string[];
  /** Runs it when this turn of the event loop has dealt with its input, to send all requests of it together. */
  readonly afterInput?: ((run: () => void) => void) | undefined;
  /** Each new session to the producer. Requests may be sent from here. */
  readonly onConnected?: () => void;
  /** A session to the producer was ended by its host: the process may be gone. */
  readonly onEndedByPeer?: () => void;
}

export interface SbiRequest {
  readonly method: 'DELETE' | 'GET' | 'OPTIONS' | 'PATCH' | 'POST' | 'PUT';
  /** Below the apiRoot: `/nmf-mrm/v1/contexts`. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Default `application/json`. */
  readonly contentType?: string;
  /** Epoch ms. Becomes 3gpp-Sbi-Max-Rsp-Time, and the request is cancelled when it has passed. */
  readonly deadlineMs: number;
  readonly idempotencyKey?: string | undefined;
  /** 0 (highest) to 31; sent when given (TS 29.500 6.8). */
  readonly priority?: number | undefined;
  /** 3gpp-Sbi-Callback, on notifications: `Nimsas_SessionEventControl_Notify`. */
  readonly callback?: string;
}

export interface SbiResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** Parsed JSON; undefined without a body. */
  readonly body: unknown;
}

const MAX_REDIRECTS = 3;
/** A peer must not make us keep sessions to more origins than an operator would list. */
const MAX_ORIGINS = 16;

/** A consumer of one producer's services over HTTP/2: deadlines, 3gpp-Sbi headers, redirects within the allow-list. */
export class SbiClient {
  readonly #options: SbiClientOptions;
  readonly #main: Http2Peer;
  readonly #prefix: string;
  readonly #others = new Map<string, Http2Peer>();
  readonly #allowed: ReadonlySet<string>;
  readonly #requests: Counter;
  readonly #failures: Counter;

  /** Throws SBI_PLAINTEXT when the apiRoot asks for h2c off loopback. */
  constructor(options: SbiClientOptions) {
    this.#options = options;
    this.#main = new Http2Peer(options.apiRoot, options);
    this.#prefix = new URL(options.apiRoot).pathname.replace(/\/$/, '');
    this.#allowed = new Set([this.#main.origin, ...(options.redirectOrigins ?? []).map((url) => new URL(url).origin)]);
    const count = options.metrics ?? { counter: () => ({ value: 0 }) };
    this.#requests = count.counter('imsdc_sbi_requests_total', 'SBI requests sent');
    this.#failures = count.counter('imsdc_sbi_request_failures_total', 'SBI requests without a usable answer');
  }

  get origin(): string {
    return this.#main.origin;
  }

  get inFlight(): number {
    return this.#main.inFlight;
  }

  /** Rejects with a coded error (SBI_*) when there is no answer; any HTTP status is an answer. */
  request(request: SbiRequest): Promise<SbiResponse> {
    return this.#send(this.#main, this.#prefix + request.path, request, 0);
  }

  async close(): Promise<void> {
    await Promise.all([this.#main, ...this.#others.values()].map((peer) => peer.close()));
  }

  async #send(peer: Http2Peer, path: string, request: SbiRequest, redirects: number): Promise<SbiResponse> {
    this.#requests.value++;
    try {
      const nowMs = Date.now();
      const remainingMs = request.deadlineMs - nowMs;
      const { method } = request;
      if (remainingMs <= 0) throw new ImsdcError('SBI_TIMEOUT', { peer: peer.origin, request: `${method} ${path}` });
      const body = request.body === undefined ? '' : JSON.stringify(request.body);
      const fields = fieldsOf(request, nowMs, remainingMs);
      const raw = await peer.exchange({ method, path, fields, body }, remainingMs);
      if (raw.status === 307 || raw.status === 308) {
        const [next, nextPath] = this.#follow(peer, `${method} ${path}`, raw, redirects);
        return await this.#send(next, nextPath, request, redirects + 1);
      }
      return { status: raw.status, headers: raw.headers, body: parseBody(peer, request, path, raw) };
    } catch (error) {
      this.#failures.value++;
      throw error;
    }
  }

  /** Where 307/308 leads: same scheme, an allowed origin, at most three times. */
  #follow(peer: Http2Peer, request: string, raw: RawResponse, redirects: number): [Http2Peer, string] {
    const location = raw.headers.get('location') ?? '';
    const refuse = (problem: string) =>
      new ImsdcError('SBI_REDIRECT', { peer: peer.origin, request, location: location.slice(0, 256), problem });
    if (redirects >= MAX_REDIRECTS) throw refuse('too many redirects');
    if (!URL.canParse(location, peer.origin)) throw refuse('not a URL');
    const target = new URL(location, peer.origin);
    if (!this.#allowed.has(target.origin)) throw refuse('that origin is not allowed');
    if (target.protocol !== new URL(peer.origin).protocol) throw refuse('another scheme');
    return [this.#peer(target.origin, refuse), target.pathname + target.search];
  }

  #peer(origin: string, refuse: (problem: string) => Error): Http2Peer {
    if (origin === this.#main.origin) return this.#main;
    let peer = this.#others.get(origin);
    if (!peer) {
      if (this.#others.size >= MAX_ORIGINS) throw refuse('too many origins');
      peer = new Http2Peer(origin, { ...this.#options, onConnected: undefined, onEndedByPeer: undefined });
      this.#others.set(origin, peer);
    }
    return peer;
  }
}

const senderTimestamp = fieldEncoder(SBI_HEADER.senderTimestamp);
const maxResponseTime = fieldEncoder(SBI_HEADER.maxResponseTime);
const requestInfo = fieldEncoder(SBI_HEADER.requestInfo);
const messagePriority = fieldEncoder(SBI_HEADER.messagePriority);
const contentTypeOf = fieldEncoder('content-type');

function fieldsOf(request: SbiRequest, nowMs: number, remainingMs: number): string {
  const { body, callback, contentType = 'application/json', idempotencyKey, priority } = request;
  let fields = senderTimestamp(formatSenderTimestamp(nowMs)) + maxResponseTime(formatMaxResponseTime(remainingMs));
  if (body !== undefined) fields += contentTypeOf(contentType);
  if (idempotencyKey !== undefined) fields += requestInfo(formatRequestInfo(idempotencyKey));
  if (priority !== undefined) fields += messagePriority(String(priority));
  if (callback !== undefined) fields += encodeField(SBI_HEADER.callback, callback);
  return fields;
}

function parseBody({ origin }: Http2Peer, { method }: SbiRequest, path: string, raw: RawResponse): unknown {
  if (raw.body === '') return undefined;
  try {
    return parseJson(raw.body);
  } catch (cause) {
    // An error status says enough without its body; a 2xx does not.
    if (raw.status >= 400) return undefined;
    const details = { peer: origin, request: `${method} ${path}`, problem: (cause as Error).message };
    throw new ImsdcError('SBI_MALFORMED', details, { cause });
  }
}
