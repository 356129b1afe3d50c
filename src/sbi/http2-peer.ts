import type { Logger } from '../base/log.ts';
import { ImsdcError } from '../errors.ts';
import { ClientConnection } from './http2/connection.ts';
import { encodeField } from './http2/header-block.ts';
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
  /** Called at each new session. */
  readonly onConnected?: () => void;
  /** A session that worked was ended by the peer's host: the process may be gone. */
  readonly onEndedByPeer?: () => void;
}

export interface RawRequest {
  readonly method: string;
  /** As it goes on the wire, with its query. */
  readonly path: string;
  /** Besides the pseudo-header fields and user-agent; names in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer | undefined;
}

export interface RawResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

type FailureCode = 'SBI_INTERRUPTED' | 'SBI_MALFORMED' | 'SBI_TIMEOUT' | 'SBI_UNAVAILABLE';

const CONNECT_TIMEOUT_MS = 3_000;
/** Back-off after a failed connection; doubles up to the second figure. Requests meanwhile fail at once: voice waits for none. */
const BACKOFF_MS = [50, 2_000] as const;
/** Timeouts are rounded up: node keeps a list per duration, and every request would have its own. */
const TIMEOUT_STEP_MS = 20;
/** A session that lived so long ends the back-off. */
const STABLE_MS = 1_000;

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
  #session: ClientConnection | undefined;
  #inFlight = 0;
  #backoffMs = 0;
  #retryAtMs = 0;
  /** How the last session ended; while it is backed off, so does every request. */
  #endedByPeer = false;
  #closed = false;
  #onIdle: () => void = () => undefined;

  /** Throws SBI_PLAINTEXT when `url` asks for h2c off loopback. */
  constructor(url: string, options: Http2PeerOptions) {
    this.#url = requireOrigin(url);
    this.origin = this.#url.origin;
    this.#options = options;
    this.#maxInFlight = options.maxInFlight ?? 512;
    this.#maxResponseBytes = options.maxResponseBytes ?? 1 << 20;
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
      const { method, path, headers, body } = request;
      let block = encodeField(':method', method) + this.#authority + encodeField(':path', path) + this.#common;
      for (const [name, value] of headers) block += encodeField(name, value);
      const fail = (code: FailureCode, problem: string) => {
        settled();
        session.cancel(id);
        const { endedByPeer } = session;
        reject(new ImsdcError(code, { peer: this.origin, request: `${method} ${path}`, problem, endedByPeer }));
      };
      const roundedMs = Math.ceil(timeoutMs / TIMEOUT_STEP_MS) * TIMEOUT_STEP_MS;
      const timer = setTimeout(() => fail('SBI_TIMEOUT', 'too late'), roundedMs);
      const settled = () => {
        clearTimeout(timer);
        this.#inFlight--;
        if (this.#inFlight === 0) this.#onIdle();
      };
      let status = 0;
      let fields: RawResponse['headers'] = {};
      let received: Buffer[] | Buffer | undefined;
      let bytes = 0;
      this.#inFlight++;
      const id = session.request(block, body, {
        onResponse: (code, decoded) => {
          status = code;
          fields = decoded;
        },
        onData: (chunk) => {
          bytes += chunk.length;
          if (bytes > this.#maxResponseBytes) fail('SBI_MALFORMED', 'too long');
          else if (received === undefined) received = chunk;
          else if (Array.isArray(received)) received.push(chunk);
          else received = [received, chunk];
        },
        onEnd: () => {
          settled();
          const whole = Array.isArray(received) ? Buffer.concat(received) : received;
          resolve({ status, headers: fields, body: whole ? whole.toString() : '' });
        },
        onFailed: (problem, executed) => fail(executed ? 'SBI_INTERRUPTED' : 'SBI_UNAVAILABLE', problem),
      });
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
    let pingPending = false;
    let connectedAtMs = 0;
    let pingTimer: NodeJS.Timeout | undefined;
    const session = new ClientConnection(this.#url, {
      tls,
      streamWindowBytes: this.#maxResponseBytes + 65_535,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      maxUnsentBytes,
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
