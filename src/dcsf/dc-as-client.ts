import { readFileSync } from 'node:fs';
import { Agent as PlainAgent, request as plainRequest } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import type { SbiTls } from '../sbi/tls.ts';
import { requireValid } from '../sbi/validation.ts';
import { MDC2_CONNECTIONS_PATH, type Mdc2Connection, Mdc2ConnectionEnds } from '../services/mdc2-connection.ts';

export interface DcAsClientOptions {
  /** `dc4Url` of the DC AS. */
  readonly url: string;
  /** `secret` of the application. */
  readonly secret: string;
  readonly tls?: SbiTls | undefined;
}

export interface ConnectionName {
  readonly sessionId: string;
  readonly mediaId: string;
}

const MAX_ANSWER_BYTES = 65_536;
/** Calls are held while a DC AS is asked: those in a burst share few connections and wait for each other. */
const MAX_SOCKETS = 64;

/** One DC AS, asked for ends (services/mdc2-connection.ts). Rejects with an Error that says what is wrong. */
export class DcAsClient {
  readonly #options: DcAsClientOptions;
  readonly #agent: PlainAgent | SecureAgent;

  constructor(options: DcAsClientOptions) {
    this.#options = options;
    const { tls, url } = options;
    const common = { keepAlive: true, maxSockets: MAX_SOCKETS };
    this.#agent = url.startsWith('https:')
      ? new SecureAgent({
          ...common,
          ...(tls && {
            cert: readFileSync(tls.certFile),
            key: readFileSync(tls.keyFile),
            ca: readFileSync(tls.caFile),
            minVersion: 'TLSv1.2' as const,
          }),
        })
      : new PlainAgent(common);
  }

  async put(name: ConnectionName, connection: Mdc2Connection, timeoutMs: number): Promise<Mdc2ConnectionEnds> {
    const answer = await this.#request('PUT', name, timeoutMs, JSON.stringify(connection));
    const ends: unknown = JSON.parse(answer);
    requireValid<Mdc2ConnectionEnds>(Mdc2ConnectionEnds, ends);
    return ends;
  }

  async delete(name: ConnectionName, timeoutMs: number): Promise<void> {
    await this.#request('DELETE', name, timeoutMs);
  }

  close(): void {
    this.#agent.destroy();
  }

  #request(method: string, { mediaId, sessionId }: ConnectionName, timeoutMs: number, body = ''): Promise<string> {
    const { secret, url } = this.#options;
    const base = url.replace(/\/+$/, '');
    const target = `${base}${MDC2_CONNECTIONS_PATH}/${encodeURIComponent(sessionId)}/${encodeURIComponent(mediaId)}`;
    const send = url.startsWith('https:') ? secureRequest : plainRequest;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const request = send(target, {
      method,
      agent: this.#agent,
      signal: AbortSignal.timeout(Math.max(1, timeoutMs)),
      headers: {
        authorization: `Bearer ${secret}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      },
    });
    request.on('error', (error) =>
      reject(error.name === 'TimeoutError' ? new Error(`no answer in ${timeoutMs} ms`) : error),
    );
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('error', reject);
      response.on('data', (part: string) => {
        text += part;
        if (text.length > MAX_ANSWER_BYTES) response.destroy(new Error('its answer is too long'));
      });
      response.on('end', () => {
        const { statusCode = 0 } = response;
        if (statusCode < 300) resolve(text);
        else reject(new Error(`status ${statusCode}: ${text.slice(0, 200)}`));
      });
    });
    request.end(body);
    return promise;
  }
}
