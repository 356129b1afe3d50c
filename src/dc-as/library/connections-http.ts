import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '../../base/log.ts';
import { requireValid } from '../../sbi/validation.ts';
import { MDC2_CONNECTIONS_PATH, Mdc2Connection } from '../../services/mdc2-connection.ts';
import { ConnectionRefused, type DcAsConnections } from './connections.ts';

const MAX_BODY_BYTES = 65_536;
const PATH = new RegExp(`^${MDC2_CONNECTIONS_PATH}/([^/]{1,512})/([^/]{1,512})$`);

/** The DCSF's side door of a DC AS: PUT and DELETE of connections, with the shared secret. */
export class ConnectionsHttp {
  readonly #connections: DcAsConnections | undefined;
  readonly #secret: string;
  readonly #log: Logger;

  constructor(connections: DcAsConnections | undefined, secret: string, log: Logger) {
    this.#connections = connections;
    this.#secret = secret;
    this.#log = log;
  }

  /** False: the path is none of ours. Answers by itself otherwise. */
  take(request: IncomingMessage, response: ServerResponse): boolean {
    const match = PATH.exec(request.url ?? '');
    if (!match) return false;
    this.#answer(request, match).then(
      (body) => {
        if (body === undefined) response.writeHead(204).end();
        else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      },
      (error: Error) => {
        const status = error instanceof ConnectionRefused ? error.status : 500;
        this.#log.info({ status, why: error.message }, 'connection refused');
        const problem = JSON.stringify({ status, detail: error.message });
        response.writeHead(status, { 'content-type': 'application/problem+json', connection: 'close' }).end(problem);
      },
    );
    return true;
  }

  async #answer(request: IncomingMessage, [, session = '', media = '']: RegExpExecArray): Promise<object | undefined> {
    if (!this.#isAuthorised(request)) throw new ConnectionRefused(401, 'secret');
    if (!this.#connections) throw new ConnectionRefused(404, 'no associations end here');
    const [sessionId, mediaId] = [decoded(session), decoded(media)];
    const name = `${sessionId}/${mediaId}`;
    if (request.method === 'DELETE') {
      await this.#connections.delete(name);
      return undefined;
    }
    if (request.method !== 'PUT') throw new ConnectionRefused(405, 'PUT or DELETE');
    return this.#connections.put(name, mediaId, await readConnection(request));
  }

  #isAuthorised({ headers }: IncomingMessage): boolean {
    return timingSafeEqual(digest(headers.authorization ?? ''), digest(`Bearer ${this.#secret}`));
  }
}

async function readConnection(request: IncomingMessage): Promise<Mdc2Connection> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > MAX_BODY_BYTES) throw new ConnectionRefused(413, 'body');
    parts.push(part);
  }
  try {
    const body: unknown = JSON.parse(Buffer.concat(parts).toString());
    requireValid<Mdc2Connection>(Mdc2Connection, body);
    return body;
  } catch (error) {
    throw new ConnectionRefused(400, (error as Error).message);
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ConnectionRefused(400, 'path');
  }
}

/** Equal lengths for the constant-time comparison. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
