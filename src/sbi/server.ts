import http2, { constants, type Http2Server, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { type FastifyInstance, type FastifyRequest, fastify, type RouteGenericInterface } from 'fastify';
import { TypedEmitter } from '../base/emitter.ts';
import type { Logger } from '../base/log.ts';
import type { Counter, Metrics } from '../base/metrics.ts';
import { ImsdcError } from '../errors.ts';
import {
  DEFAULT_MESSAGE_PRIORITY,
  parseIdempotencyKey,
  parseMaxResponseTime,
  parseMessagePriority,
  SBI_HEADER,
} from './headers.ts';
import { parseJson } from './json.ts';
import { boundNewcomers } from './newcomers.ts';
import { peerOf } from './peer.ts';
import { congestion, invalidBody, PROBLEM_JSON, problem, SbiProblem, toProblem } from './problem.ts';
import { watchSessions } from './server-sessions.ts';
import { isLoopback, type SbiTls, serverTlsOptions } from './tls.ts';
import { AJV_OPTIONS } from './validation.ts';

export interface SbiServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: SbiTls | undefined;
  readonly log: Logger;
  readonly metrics?: Metrics;
  /** Default 64 KiB: the largest message of ours is a tenth of that. */
  readonly maxBodyBytes?: number;
  /** Above this, requests get 503; one in eight more is kept for priority calls. Default 1,000. */
  readonly maxInFlight?: number;
  /** More sessions are closed at once. Default 256. */
  readonly maxSessions?: number;
  /** How often a peer is asked whether it still lives. Default 20 s. */
  readonly pingIntervalMs?: number;
  /** A request in which nothing has moved for so long, in either direction, is cut. Default 60 s: longer than any answer of ours. */
  readonly streamIdleMs?: number;
}

export interface SbiServerRequest<Body = unknown> {
  readonly params: Readonly<Record<string, string>>;
  readonly body: Body;
  /** Who asks: certificate subject or user agent, and address. Leases and idempotency keys hang on it. */
  readonly peer: string;
  /** Epoch ms, from 3gpp-Sbi-Max-Rsp-Time; undefined: the peer waits as long as it takes. */
  readonly deadlineMs: number | undefined;
  readonly idempotencyKey: string | undefined;
  readonly priority: number;
}

export interface SbiReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export interface SbiRoute<Body = unknown> {
  readonly method: 'DELETE' | 'GET' | 'OPTIONS' | 'PATCH' | 'POST' | 'PUT';
  /** `/nmf-mrm/v1/contexts/:contextId` */
  readonly path: string;
  /** TypeBox or JSON schema of the body; a route without one takes no body. */
  readonly body?: object;
  /** Default `application/json`. */
  readonly contentType?: string;
  /** What it throws becomes ProblemDetails: `SbiProblem`, or a coded error by its entry in errors.ts. */
  handler(request: SbiServerRequest<Body>): SbiReply | Promise<SbiReply>;
}

export interface SbiServerEvents {
  /** A peer sent something, or answered our PING: it lives. */
  alive: { readonly peer: string };
}

type Http2App = FastifyInstance<Http2Server, Http2ServerRequest, Http2ServerResponse>;
type Http2Request = FastifyRequest<RouteGenericInterface, Http2Server, Http2ServerRequest>;
const METHODS = ['DELETE', 'GET', 'PATCH', 'POST', 'PUT'] as const;
const RETRY_AFTER_SECONDS = 1;

/** A producer of services: HTTP/2 in, validated plain data to the routes, JSON or ProblemDetails out. */
export class SbiServer extends TypedEmitter<SbiServerEvents> {
  readonly #app: Http2App;
  readonly #options: SbiServerOptions;
  readonly #maxInFlight: number;
  readonly #streamIdleMs: number;
  readonly #requests: Counter;
  readonly #refused: Counter;
  readonly #methods = new Map<string, Set<string>>();
  #inFlight = 0;
  readonly #released = () => {
    this.#inFlight--;
  };

  /** Throws SBI_PLAINTEXT for a host off loopback without TLS. */
  constructor(options: SbiServerOptions) {
    super();
    if (!options.tls && !isLoopback(options.host)) {
      throw new ImsdcError('SBI_PLAINTEXT', { url: `${options.host}:${options.port}` });
    }
    this.#options = options;
    this.#maxInFlight = options.maxInFlight ?? 1_000;
    this.#streamIdleMs = options.streamIdleMs ?? 60_000;
    const count = options.metrics ?? { counter: () => ({ value: 0 }) };
    this.#requests = count.counter('imsdc_sbi_served_total', 'SBI requests served');
    this.#refused = count.counter('imsdc_sbi_refused_total', 'SBI requests refused because of load');
    this.#app = this.#build();
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Where it listens: `http://127.0.0.1:7780`. */
  get origin(): string {
    const { address, family, port } = this.#app.server.address() as AddressInfo;
    return `${this.#options.tls ? 'https' : 'http'}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  /** Before `listen`. */
  route<Body = unknown>(route: SbiRoute<Body>): void {
    const methods = this.#methods.get(route.path) ?? new Set<string>();
    this.#methods.set(route.path, methods.add(route.method));
    this.#app.route({
      method: route.method,
      url: route.path,
      ...(route.body ? { schema: { body: route.body } } : {}),
      config: { contentType: route.body ? (route.contentType ?? 'application/json') : undefined },
      handler: async (request, reply) => {
        const answer = await route.handler(this.#readRequest<Body>(request));
        reply.code(answer.status);
        if (answer.headers) reply.headers(answer.headers);
        if (answer.body === undefined) return reply.send();
        return reply.type('application/json').send(json(answer.body));
      },
    });
  }

  async listen(): Promise<void> {
    for (const [path, methods] of this.#methods) {
      this.#app.route({
        method: METHODS.filter((method) => !methods.has(method)),
        url: path,
        onRequest: () => {
          throw new SbiProblem(problem(405, undefined, `only ${[...methods].join(', ')}`).details, {
            allow: [...methods].join(', '),
          });
        },
        handler: () => undefined,
      });
    }
    await this.#app.listen({ host: this.#options.host, port: this.#options.port });
  }

  async close(): Promise<void> {
    await this.#app.close();
  }

  #build(): Http2App {
    const { tls, log, maxBodyBytes = 64 * 1024 } = this.#options;
    const app = fastify({
      // The typings know http2 servers only by their own options; ours come from the factory.
      http2: true,
      serverFactory: (handler) => {
        const settings = { settings: { maxConcurrentStreams: this.#maxInFlight * 2 } };
        const server = tls
          ? http2.createSecureServer({ ...settings, ...serverTlsOptions(tls) }, handler)
          : http2.createServer(settings, handler);
        boundNewcomers(server, log);
        watchSessions(server, this.#options, (peer) => this.emit('alive', { peer }));
        return server as Http2Server;
      },
      bodyLimit: maxBodyBytes,
      exposeHeadRoutes: false,
      routerOptions: { maxParamLength: 256 },
      ajv: { customOptions: AJV_OPTIONS },
      forceCloseConnections: true,
    }) as unknown as Http2App;
    app.removeAllContentTypeParsers();
    const parse = (_request: unknown, text: string, done: (error: Error | null, body?: unknown) => void) => {
      try {
        // A DELETE may say a content type and bring nothing; where a body is due, its schema says what is missing.
        done(null, text === '' ? undefined : parseJson(text));
      } catch (error) {
        done(error as Error);
      }
    };
    for (const type of ['application/json', 'application/json-patch+json']) {
      app.addContentTypeParser(type, { parseAs: 'string' }, parse);
    }
    app.addHook('onRequest', (request, _reply, done) => this.#admit(request, done));
    app.setErrorHandler((error, request, reply) => {
      const answer = readFastifyError(error);
      if (answer.details.status >= 500) log.warn({ error, url: request.url }, 'SBI request failed');
      // What fastify adds to a 413; HTTP/2 has no such field (RFC 9113 8.2.2).
      reply.removeHeader('connection');
      return reply.code(answer.details.status).headers(answer.headers).type(PROBLEM_JSON).send(json(answer.details));
    });
    app.setNotFoundHandler((request, reply) => {
      const { details } = problem(
        404,
        'RESOURCE_URI_STRUCTURE_NOT_FOUND',
        `no such resource: ${request.url.slice(0, 256)}`,
      );
      return reply.code(404).type(PROBLEM_JSON).send(json(details));
    });
    return app;
  }

  /** Load first, then content type: what is refused must cost least. */
  #admit(request: Http2Request, done: (error?: Error) => void): void {
    this.#requests.value++;
    this.#inFlight++;
    // 'close' comes however the stream ends, also when the peer cancels before we answer.
    const { stream } = request.raw;
    stream.once('close', this.#released);
    stream.setTimeout(this.#streamIdleMs, () => stream.close(constants.NGHTTP2_CANCEL));
    const priority = parseMessagePriority(request.headers[SBI_HEADER.messagePriority]);
    const limit = priority < DEFAULT_MESSAGE_PRIORITY ? this.#maxInFlight * 1.125 : this.#maxInFlight;
    if (this.#inFlight > limit) {
      this.#refused.value++;
      done(congestion(503, `${this.#inFlight} requests in flight`, RETRY_AFTER_SECONDS));
      return;
    }
    const { contentType } = request.routeOptions.config as { contentType?: string };
    const sent = request.headers['content-type'];
    if (contentType !== undefined && sent?.split(';', 1)[0]?.trim().toLowerCase() !== contentType) {
      done(problem(415, undefined, `the body must be ${contentType}`));
      return;
    }
    this.emit('alive', { peer: peerOf(request.raw) });
    done();
  }

  #readRequest<Body>(request: Http2Request): SbiServerRequest<Body> {
    const { headers } = request;
    const maxResponseTimeMs = parseMaxResponseTime(headers[SBI_HEADER.maxResponseTime] as string | undefined);
    return {
      params: request.params as Record<string, string>,
      body: request.body as Body,
      peer: peerOf(request.raw),
      deadlineMs: maxResponseTimeMs === undefined ? undefined : Date.now() + maxResponseTimeMs,
      idempotencyKey: parseIdempotencyKey(headers[SBI_HEADER.requestInfo]),
      priority: parseMessagePriority(headers[SBI_HEADER.messagePriority]),
    };
  }
}

/** As bytes: to a string fastify adds a charset, which JSON types do not have (RFC 8259 11). */
const json = (value: unknown) => Buffer.from(JSON.stringify(value));

/** Fastify's own errors by their code; ours by what they are. */
function readFastifyError(error: unknown): SbiProblem {
  const { code, validation } = error as { code?: string; validation?: Parameters<typeof invalidBody>[0] };
  if (validation) return invalidBody(validation);
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return problem(413, undefined, 'the body is too large');
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return problem(411, 'INCORRECT_LENGTH', 'content-length does not match the body');
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return problem(400, 'MANDATORY_IE_MISSING', 'the body is missing', [{ param: '', reason: 'missing' }]);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return problem(415, undefined, 'unknown content type');
    case 'FST_ERR_BAD_URL':
      return problem(400, 'INVALID_API', 'the path is not a valid URL path');
    default:
      return toProblem(error);
  }
}
