import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { ImsdcError } from '../../errors.ts';
import { clientTlsOptions, isLoopback, type SbiTls } from '../../sbi/tls.ts';
import type { Mdc1Request } from './target.ts';

export interface Mdc1ClientOptions {
  readonly allowPlainHttp: boolean;
  readonly localAddress?: string | undefined;
  readonly maxSockets: number;
  /** Until the head of the response. */
  readonly timeoutMs: number;
  readonly tls?: SbiTls | undefined;
}

/** Sockets that wait for the next request, per DCSF. */
const MAX_FREE_SOCKETS = 16;
const KEEP_ALIVE_MS = 30_000;
/** Answers are for small handsets, not for us. */
const MAX_HEADER_BYTES = 16 * 1_024;

/**
 * HTTP/1.1 towards the DCSF (MDC1): connects to the address that the AS gave, with SNI and Host from the URL (R27),
 * keeps connections, mutual TLS off loopback.
 */
export class Mdc1Client {
  readonly #options: Mdc1ClientOptions;
  readonly #plain: http.Agent;
  readonly #secure: https.Agent;

  constructor(options: Mdc1ClientOptions) {
    this.#options = options;
    const { localAddress, maxSockets, tls } = options;
    const shared = {
      keepAlive: true,
      maxSockets,
      maxFreeSockets: MAX_FREE_SOCKETS,
      timeout: KEEP_ALIVE_MS,
      localAddress,
    };
    this.#plain = new http.Agent(shared);
    this.#secure = new https.Agent({ ...shared, ...(tls ? clientTlsOptions(tls) : {}) });
  }

  /** Sockets in use and kept. */
  get sockets(): number {
    return [this.#plain, this.#secure]
      .flatMap((agent) => [agent.sockets, agent.freeSockets].flatMap(Object.values))
      .flat().length;
  }

  /**
   * Resolves with the head; the body is the message itself, paused until read. Rejects with MDC1_REFUSED (that
   * address must not be talked to so), MDC1_UNREACHABLE or MDC1_TIMEOUT. `signal` ends it at any time.
   */
  request(
    request: Mdc1Request,
    endpoint: { readonly address: string; readonly port: number },
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { url } = request;
    const secure = url.protocol === 'https:';
    const { allowPlainHttp, timeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      if (!secure && !allowPlainHttp && !isLoopback(endpoint.address)) {
        throw new ImsdcError('MDC1_REFUSED', { address: endpoint.address });
      }
      const outgoing = (secure ? https : http).request({
        agent: secure ? this.#secure : this.#plain,
        method: request.method,
        host: endpoint.address,
        port: endpoint.port,
        path: url.pathname + url.search,
        // Node takes SNI from Host, and sends none where that is an address (RFC 6066 3).
        headers: { ...request.headers, host: url.host, ...lengthOf(request) },
        maxHeaderSize: MAX_HEADER_BYTES,
        signal,
      });
      const where = `${endpoint.address}:${endpoint.port}`;
      const timer = setTimeout(() => outgoing.destroy(new ImsdcError('MDC1_TIMEOUT', { where })), timeoutMs);
      outgoing.on('response', (response) => {
        clearTimeout(timer);
        resolve(response);
      });
      outgoing.on('error', (error) => {
        clearTimeout(timer);
        if (error instanceof ImsdcError) reject(error);
        else reject(new ImsdcError('MDC1_UNREACHABLE', { where, problem: error.message }, { cause: error }));
      });
      outgoing.end(request.body);
    });
  }

  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}

function lengthOf({ body, method }: Mdc1Request): Record<string, string> {
  return body.length > 0 || method === 'POST' ? { 'content-length': String(body.length) } : {};
}
