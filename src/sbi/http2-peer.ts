import http2, {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import type { Logger } from '../base/log.ts';
import { ImsdcError } from '../errors.ts';
import { clientTlsOptions, requireOrigin, type SbiTls } from './tls.ts';

export interface Http2PeerOptions {
  readonly tls?: SbiTls | undefined;
  readonly log: Logger;
  /** More requests at once are refused with SBI_CONGESTED. Default 512. */
  readonly maxInFlight?: number;
  /** A longer answer is cancelled with SBI_MALFORMED. Default 1 MiB. */
  readonly maxResponseBytes?: number;
  /** A session that leaves a PING unanswered until the next is given up. Default 10 s. */
  readonly pingIntervalMs?: number;
  /** Called at each new session, before its first request of ours. */
  readonly onConnected?: () => void;
}

export interface RawResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const { NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM } = http2.constants;
type FailureCode = 'SBI_INTERRUPTED' | 'SBI_MALFORMED' | 'SBI_TIMEOUT' | 'SBI_UNAVAILABLE';

/** RFC 9113 8.7: never left us, or the peer says that it has not looked at it. */
function wasRefused(stream: ClientHttp2Stream): boolean {
  return stream.pending || stream.rstCode === NGHTTP2_REFUSED_STREAM;
}

const CONNECT_TIMEOUT_MS = 3_000;
/** Back-off after a failed connection; doubles up to the second figure. Requests meanwhile fail at once: voice waits for none. */
const BACKOFF_MS = [50, 2_000] as const;
const TIMEOUT_STEP_MS = 20;
/** A session that lived so long ends the back-off. */
const STABLE_MS = 1_000;

/**
 * One HTTP/2 session to one origin, kept open and renewed (RFC 9113; TS 29.500 5.2). h2c with prior knowledge on
 * loopback, TLS elsewhere. It carries bytes and knows deadlines; JSON and 3GPP headers belong to `SbiClient`.
 */
export class Http2Peer {
  readonly origin: string;
  readonly #options: Required<Omit<Http2PeerOptions, 'tls' | 'onConnected'>> & Http2PeerOptions;
  #session: ClientHttp2Session | undefined;
  #inFlight = 0;
  #backoffMs = 0;
  #retryAtMs = 0;
  #pingTimer: NodeJS.Timeout | undefined;
  #closed = false;

  /** Throws SBI_PLAINTEXT when `url` asks for h2c off loopback. */
  constructor(url: string, options: Http2PeerOptions) {
    this.origin = requireOrigin(url).origin;
    this.#options = {
      ...options,
      maxInFlight: options.maxInFlight ?? 512,
      maxResponseBytes: options.maxResponseBytes ?? 1 << 20,
      pingIntervalMs: options.pingIntervalMs ?? 10_000,
    };
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get connected(): boolean {
    return this.#session !== undefined && !this.#session.connecting && !this.#session.closed;
  }

  /**
   * Sends one request and collects its answer. `timeoutMs` bounds everything. Rejects with SBI_CONGESTED or
   * SBI_UNAVAILABLE (not executed), SBI_INTERRUPTED, SBI_TIMEOUT or SBI_MALFORMED (perhaps executed); an HTTP error
   * status is an answer, not a rejection.
   */
  exchange(headers: OutgoingHttpHeaders, body: Buffer | undefined, timeoutMs: number): Promise<RawResponse> {
    return new Promise((resolve, reject) => {
      if (this.#inFlight >= this.#options.maxInFlight) {
        throw new ImsdcError('SBI_CONGESTED', { peer: this.origin, inFlight: this.#inFlight });
      }
      const stream = this.#acquire().request(headers, { endStream: body === undefined });
      this.#inFlight++;
      let response: IncomingHttpHeaders | undefined;
      let text = '';
      let failure: ImsdcError | undefined;
      const failed = (code: FailureCode, problem: string, cause?: Error) => {
        const request = `${headers[':method']} ${headers[':path']}`;
        failure ??= new ImsdcError(code, { peer: this.origin, request, problem }, { cause });
      };
      const fail = (code: FailureCode, problem: string) => {
        failed(code, problem);
        stream.close(NGHTTP2_CANCEL);
      };
      // Rounded up: node keeps a list per duration, and every request would have its own.
      const roundedMs = Math.ceil(timeoutMs / TIMEOUT_STEP_MS) * TIMEOUT_STEP_MS;
      const timer = setTimeout(() => fail('SBI_TIMEOUT', 'too late'), roundedMs);
      stream.setEncoding('utf8');
      stream.on('response', (received) => {
        response = received;
      });
      stream.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > this.#options.maxResponseBytes) fail('SBI_MALFORMED', 'too long');
      });
      stream.on('error', (error) => {
        failed(wasRefused(stream) ? 'SBI_UNAVAILABLE' : 'SBI_INTERRUPTED', error.message, error);
      });
      // 'close' comes exactly once and last, whatever happened before it.
      stream.on('close', () => {
        clearTimeout(timer);
        this.#inFlight--;
        if (response && stream.readableEnded && !failure) {
          resolve({ status: Number(response[':status']), headers: response, body: text });
          return;
        }
        failed(wasRefused(stream) ? 'SBI_UNAVAILABLE' : 'SBI_INTERRUPTED', 'the stream ended without an answer');
        reject(failure);
      });
      if (body !== undefined) stream.end(body);
    });
  }

  /** Lets running requests finish, then ends the session. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#pingTimer);
    const session = this.#session;
    if (session && !session.destroyed) {
      await new Promise<void>((resolve) => {
        if (session.connecting) session.destroy();
        else session.close();
        session.once('close', resolve);
        if (session.destroyed) resolve();
      });
    }
  }

  #acquire(): ClientHttp2Session {
    const session = this.#session;
    if (session && !session.closed && !session.destroyed) return session;
    if (this.#closed) throw new ImsdcError('SBI_UNAVAILABLE', { peer: this.origin, problem: 'this client is closed' });
    if (Date.now() < this.#retryAtMs) {
      throw new ImsdcError('SBI_UNAVAILABLE', { peer: this.origin, problem: 'not reachable, trying again soon' });
    }
    return this.#connect();
  }

  #connect(): ClientHttp2Session {
    const { tls, log, pingIntervalMs, onConnected } = this.#options;
    const session = http2.connect(this.origin, {
      ...(tls && this.origin.startsWith('https:') ? clientTlsOptions(tls) : {}),
      settings: { enablePush: false },
    });
    this.#session = session;
    const connectTimer = setTimeout(() => session.destroy(new Error('no connection in time')), CONNECT_TIMEOUT_MS);
    let pingPending = false;
    let connectedAtMs = 0;
    session.on('connect', () => {
      clearTimeout(connectTimer);
      connectedAtMs = Date.now();
      this.#pingTimer = setInterval(() => {
        // RFC 9113 6.7; R25: the PING also renews the lease of what the MF holds for us.
        if (pingPending) {
          session.destroy(new Error('PING unanswered'));
          return;
        }
        pingPending = session.ping((error) => {
          if (!error) pingPending = false;
        });
      }, pingIntervalMs);
      onConnected?.();
    });
    session.on('error', (error) => log.warn({ peer: this.origin, reason: error.message }, 'SBI session failed'));
    session.on('close', () => {
      clearTimeout(connectTimer);
      if (this.#session !== session) return;
      clearInterval(this.#pingTimer);
      this.#session = undefined;
      // One that worked is renewed at the next request; one that was refused, or cut right away, waits.
      if (connectedAtMs > 0 && Date.now() - connectedAtMs > STABLE_MS) this.#backoffMs = 0;
      else this.#backOff();
    });
    return session;
  }

  #backOff(): void {
    this.#backoffMs = Math.min(Math.max(this.#backoffMs * 2, BACKOFF_MS[0]), BACKOFF_MS[1]);
    this.#retryAtMs = Date.now() + this.#backoffMs;
  }
}
