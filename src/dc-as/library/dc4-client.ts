import { readFileSync } from 'node:fs';
import { request as plainRequest } from 'node:http';
import { request as secureRequest } from 'node:https';
import type { SbiTls } from '../../sbi/tls.ts';

export interface Dc4ClientOptions {
  /** `dcsf.dc4` of the operator: `https://dcsf.example:8095`. */
  readonly url: string;
  readonly applicationId: string;
  /** The one that tickets are signed with. */
  readonly secret: string;
  readonly tls?: SbiTls;
}

export interface WantedLine {
  /** Public identity of a user in a call, or the session of a channel you have. */
  readonly servedUser?: string;
  readonly sessionId?: string;
  readonly channels: readonly {
    readonly name: string;
    readonly subprotocol?: string;
    readonly ordered?: boolean;
    readonly maxRetransmissions?: number;
    readonly maxTimeMs?: number;
  }[];
  /** Also, or without channels only, the bootstrap channel from which the UE fetches the application. */
  readonly bootstrap?: boolean;
}

export interface OfferedLine {
  readonly sessionId: string;
  readonly mediaId: string;
  readonly streams: readonly number[];
}

/** The DCSF said no: `status` 401, 403 (the user's subscription), 404 (no such call), or 5xx. */
export class Dc4Error extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.name = 'Dc4Error';
    this.status = status;
  }
}

const TIMEOUT_MS = 30_000;
const MAX_ANSWER_BYTES = 65_536;

/** DC4: calls a user from an application (A2P), and ends lines. Rejects with Dc4Error, or the error of the network. */
export class Dc4Client {
  readonly #options: Dc4ClientOptions;
  readonly #credentials: { cert?: Buffer; key?: Buffer; ca?: Buffer };

  constructor(options: Dc4ClientOptions) {
    this.#options = options;
    const { tls } = options;
    this.#credentials = tls
      ? { cert: readFileSync(tls.certFile), key: readFileSync(tls.keyFile), ca: readFileSync(tls.caFile) }
      : {};
  }

  /** Resolves when the line is offered to the UE; its channels arrive at your handler when the UE has taken it. */
  async originate(line: WantedLine): Promise<OfferedLine> {
    return JSON.parse(await this.#ask('POST', 'lines', JSON.stringify(line))) as OfferedLine;
  }

  async end({ mediaId, sessionId }: Pick<OfferedLine, 'mediaId' | 'sessionId'>): Promise<void> {
    await this.#ask('DELETE', `sessions/${encodeURIComponent(sessionId)}/lines/${encodeURIComponent(mediaId)}`);
  }

  #ask(method: string, path: string, body?: string): Promise<string> {
    const { applicationId, secret, url } = this.#options;
    const target = new URL(`/ndcsf-dc4/v1/applications/${encodeURIComponent(applicationId)}/${path}`, url);
    const headers = {
      authorization: `Bearer ${secret}`,
      ...(body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
    };
    return new Promise((resolve, reject) => {
      const send = target.protocol === 'https:' ? secureRequest : plainRequest;
      const request = send(target, { method, headers, timeout: TIMEOUT_MS, agent: false, ...this.#credentials });
      request.on('timeout', () => request.destroy(new Dc4Error(504, 'the DCSF does not answer')));
      request.on('error', reject);
      request.on('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('error', reject);
        response.on('data', (piece: string) => {
          text += piece;
          if (text.length > MAX_ANSWER_BYTES) request.destroy(new Dc4Error(502, 'the answer is too long'));
        });
        response.on('end', () => {
          const { statusCode = 502 } = response;
          if (statusCode < 300) resolve(text);
          else reject(new Dc4Error(statusCode, detailOf(text)));
        });
      });
      request.end(body);
    });
  }
}

function detailOf(text: string): string {
  try {
    const { detail } = Object(JSON.parse(text)) as { detail?: unknown };
    return String(detail ?? text);
  } catch {
    return text; // a proxy's page, not ProblemDetails
  }
}
