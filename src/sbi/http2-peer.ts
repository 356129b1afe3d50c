import type { Logger } from '../base/log.ts';
import { RealTimers, type Timer } from '../base/timers.ts';
import { ImsdcError } from '../errors.ts';
import { ClientConnection, type Stream } from './http2/connection.ts';
import { encodeField, fieldEncoder } from './http2/header-block.ts';
import { octetsOf, textOf } from './http2/octets.ts';
import { requireOrigin, type SbiTls } from './tls.ts';

export interface Http2PeerOptions {
  readonly tls?: SbiTls | undefined;
  readonly log: Logger;
  readonly userAgent: string;
  /** More requests at once are refused with SBI_CONGESTED. Default 512. */
  readonly maxInFlight?: number;
  /** A longer answer is cancelled with SBI_MALFORMED. Default 1 MiB. */
  readonly maxResponseBytes?: number;
  /** A session that leaves a PING unanswered until the next is given up. Default 10 s. */
  readonly pingIntervalMs?: number;
  /** A session whose peer leaves so much unread is given up. Default 16 MiB. */
  readonly maxUnsentBytes?: number;
  /** Runs it when this turn of the event loop has dealt with its input; default `setImmediate`. */
  readonly afterInput?: ((run: () => void) => void) | undefined;
  /** Called at each new session. */
  readonly onConnected?: () => void;
  /** A session that worked was ended by the peer's host: the process may be gone. */
  readonly onEndedByPeer?: () => void;
}

export interface RawRequest {
  readonly method: string;
  /** As it goes on the wire, with its query. */
  readonly path: string;
  /** Encoded (`encodeField`): all but the pseudo-header fields, user-agent, accept and content-length. */
  readonly fields: string;
  /** Empty: none. */
  readonly body: string;
}

export interface RawResponse {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

type FailureCode = 'SBI_INTERRUPTED' | 'SBI_MALFORMED' | 'SBI_TIMEOUT' | 'SBI_UNAVAILABLE';

const CONNECT_TIMEOUT_MS = 3_000;
/** Back-off after a failed connection; doubles up to the second figure. Requests meanwhile fail at once: voice waits for none. */
const BACKOFF_MS = [50, 2_000] as const;
/** A session that lived so long ends the back-off. */
const STABLE_MS = 1_000;
const encodePath = fieldEncoder(':path');
const encodeLength = fieldEncoder('content-length');

/**
 * One HTTP/2 session to one origin, kept open and renewed (RFC 9113; TS 29.500 5.2). h2c with prior knowledge on
 * loopback, TLS elsewhere. It carries bytes and knows deadlines; JSON and 3GPP headers belong to `SbiClient`.
 */
export class Http2Peer {
  readonly origin: string;
  readonly #url: URL;
  readonly #options: Http2PeerOptions;
  readonly #maxInFlight: number;
  readonly #maxResponseBytes: number;
  /** Fields that every request has, encoded once. */
  readonly #common: string;
  readonly #authority: string;
  readonly #sessions = new Set<ClientConnection>();
  /** Of requests: one sleep for all that are under way, and none of a process that has nothing else to do. */
  readonly #timers = new RealTimers().unref();
  #session: ClientConnection | undefined;
  #inFlight = 0;
  #backoffMs = 0;
  #retryAtMs = 0;
  /** How the last session ended; while it is backed off, so does every request. */
  #endedByPeer = false;
  #closed = false;
  #onIdle: () => void = () => undefined;
  readonly #exchanges: Exchanges;

  /** Throws SBI_PLAINTEXT when `url` asks for h2c off loopback. */
  constructor(url: string, options: Http2PeerOptions) {
    this.#url = requireOrigin(url);
    this.origin = this.#url.origin;
    this.#options = options;
    this.#maxInFlight = options.maxInFlight ?? 512;
    this.#maxResponseBytes = options.maxResponseBytes ?? 1 << 20;
    this.#exchanges = {
      origin: this.origin,
      maxResponseBytes: this.#maxResponseBytes,
      over: () => {
        this.#inFlight--;
        if (this.#inFlight === 0) this.#onIdle();
      },
    };
    this.#authority =
      encodeField(':scheme', this.#url.protocol.slice(0, -1)) + encodeField(':authority', this.#url.host);
    this.#common =
      encodeField('user-agent', options.userAgent) +
      encodeField('accept', 'application/json, application/problem+json');
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /**
   * Sends one request and collects its answer. `timeoutMs` bounds everything. Rejects with SBI_CONGESTED or
   * SBI_UNAVAILABLE (not executed), SBI_INTERRUPTED, SBI_TIMEOUT or SBI_MALFORMED (perhaps executed); an HTTP error
   * status is an answer, not a rejection. With `endedByPeer` in its details, the peer's host has refused or ended the
   * connection: nobody need wait to know that nobody is there.
   */
  exchange(request: RawRequest, timeoutMs: number): Promise<RawResponse> {
    return new Promise((resolve, reject) => {
      const session = this.#acquire();
      if (this.#inFlight >= this.#maxInFlight || session.room <= 0) {
        throw new ImsdcError('SBI_CONGESTED', { peer: this.origin, inFlight: this.#inFlight });
      }
      const { method, path, fields } = request;
      const body = octetsOf(request.body);
      const block =
        encodeField(':method', method) +
        this.#authority +
        encodePath(path) +
        this.#common +
        fields +
        (body === '' ? '' : encodeLength(String(body.length)));
      this.#inFlight++;
      const exchange = new Exchange(this.#exchanges, session, request, resolve, reject);
      exchange.start(
        block,
        body,
        this.#timers.after(timeoutMs, () => exchange.fail('SBI_TIMEOUT', 'too late')),
      );
    });
  }

  /** Lets running requests finish, then ends the session. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#inFlight > 0 && this.#session?.connected) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    for (const session of this.#sessions) session.close();
    this.#timers.close();
  }

  #acquire(): ClientConnection {
    if (this.#session?.usable) return this.#session;
    if (this.#closed) throw new ImsdcError('SBI_UNAVAILABLE', { peer: this.origin, problem: 'this client is closed' });
    if (Date.now() < this.#retryAtMs) {
      const problem = 'not reachable, trying again soon';
      throw new ImsdcError('SBI_UNAVAILABLE', { peer: this.origin, problem, endedByPeer: this.#endedByPeer });
    }
    this.#session = this.#connect();
    return this.#session;
  }

  #connect(): ClientConnection {
    const { tls, log, pingIntervalMs = 10_000, maxUnsentBytes = 16 << 20, onConnected, onEndedByPeer } = this.#options;
    const { afterInput = setImmediate } = this.#options;
    let pingPending = false;
    let connectedAtMs = 0;
    let pingTimer: NodeJS.Timeout | undefined;
    const session = new ClientConnection(this.#url, {
      tls,
      streamWindowBytes: this.#maxResponseBytes + 65_535,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      maxUnsentBytes,
      afterInput,
      onConnected: () => {
        connectedAtMs = Date.now();
        pingTimer = setInterval(() => {
          // RFC 9113 6.7; R25: the PING also renews the lease of what the MF holds for us.
          if (pingPending) {
            session.destroy('PING unanswered');
            return;
          }
          pingPending = true;
          session.ping(() => {
            pingPending = false;
          });
        }, pingIntervalMs);
        onConnected?.();
      },
      onClosed: (reason) => {
        clearInterval(pingTimer);
        this.#sessions.delete(session);
        if (this.#session === session) this.#endedByPeer = session.endedByPeer;
        // One that worked is renewed at the next request; one that was refused, or cut right away, waits.
        if (connectedAtMs > 0 && Date.now() - connectedAtMs > STABLE_MS) this.#backoffMs = 0;
        else if (this.#session === session) this.#backOff();
        if (!this.#closed) log.info({ peer: this.origin, reason }, 'SBI session ended');
        if (!this.#closed && connectedAtMs > 0 && session.endedByPeer) onEndedByPeer?.();
      },
    });
    this.#sessions.add(session);
    return session;
  }

  #backOff(): void {
    this.#backoffMs = Math.min(Math.max(this.#backoffMs * 2, BACKOFF_MS[0]), BACKOFF_MS[1]);
    this.#retryAtMs = Date.now() + this.#backoffMs;
  }
}

/** What all requests to one origin share. */
interface Exchanges {
  readonly origin: string;
  readonly maxResponseBytes: number;
  /** One of them has its answer, or none. */
  over(): void;
}

/** One request, and what has come of its answer. */
class Exchange implements Stream {
  readonly #shared: Exchanges;
  readonly #session: ClientConnection;
  readonly #request: RawRequest;
  readonly #resolve: (response: RawResponse) => void;
  readonly #reject: (error: ImsdcError) => void;
  #id = 0;
  #timer: Timer | undefined;
  #status = 0;
  #headers: RawResponse['headers'] = NO_FIELDS;
  #body = '';

  constructor(
    shared: Exchanges,
    session: ClientConnection,
    request: RawRequest,
    resolve: (response: RawResponse) => void,
    reject: (error: ImsdcError) => void,
  ) {
    this.#shared = shared;
    this.#session = session;
    this.#request = request;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(block: string, body: string, timer: Timer): void {
    this.#timer = timer;
    this.#id = this.#session.request(block, body, this);
  }

  onResponse(status: number, headers: RawResponse['headers']): void {
    this.#status = status;
    this.#headers = headers;
  }

  onData(octets: string): void {
    this.#body += octets;
    if (this.#body.length > this.#shared.maxResponseBytes) this.fail('SBI_MALFORMED', 'too long');
  }

  onEnd(): void {
    this.#settled();
    this.#resolve({ status: this.#status, headers: this.#headers, body: textOf(this.#body) });
  }

  onFailed(problem: string, executed: boolean): void {
    this.fail(executed ? 'SBI_INTERRUPTED' : 'SBI_UNAVAILABLE', problem);
  }

  fail(code: FailureCode, problem: string): void {
    this.#settled();
    this.#session.cancel(this.#id);
    const { method, path } = this.#request;
    const { endedByPeer } = this.#session;
    const details = { peer: this.#shared.origin, request: `${method} ${path}`, problem, endedByPeer };
    this.#reject(new ImsdcError(code, details));
  }

  #settled(): void {
    this.#timer?.cancel();
    this.#shared.over();
  }
}

const NO_FIELDS: RawResponse['headers'] = new Map();
