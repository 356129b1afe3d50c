import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { Logger } from '../../base/log.ts';
import type { Counter, Metrics } from '../../base/metrics.ts';
import { ImsdcError } from '../../errors.ts';
import { isLoopback, serverTlsOptions } from '../../sbi/tls.ts';
import type { DcarConfig } from '../config.ts';
import type { GrantTable } from '../grants.ts';
import type { Repository } from '../repository.ts';
import { applicationList } from './list.ts';
import { applicationPackage, root } from './package.ts';
import type { ContentReply, ContentRequest } from './request.ts';

export interface ContentDependencies {
  readonly repository: Repository;
  readonly grants: GrantTable;
  readonly log: Logger;
  readonly metrics: Metrics;
}

const VIEWS: Readonly<Record<string, (request: ContentRequest) => ContentReply | Promise<ContentReply>>> = {
  '': root,
  applicationlist: applicationList,
  applications: applicationPackage,
};

/** One answer for a token that is unknown, expired or revoked, and for any path under it: it tells nothing. */
const NOTHING_HERE: ContentReply = { status: 404, headers: {}, body: Buffer.alloc(0) };
const MAX_HEADER_BYTES = 16 * 1024;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 65_000;

/**
 * MDC1 content (23.228 AC.7.1): `/bdc/v1/<token>/...` over HTTP/1.1, for MFs. Who asks is what the token says, never
 * what a header says (R27). Throws DCAR_PLAINTEXT off loopback without TLS.
 */
export function contentServer(config: DcarConfig['mdc1'], dependencies: ContentDependencies): FastifyInstance {
  if (!config.tls && !isLoopback(config.host)) throw new ImsdcError('DCAR_PLAINTEXT', { host: config.host });
  const { log, metrics } = dependencies;
  const served = metrics.counter('imsdc_dcar_requests_total', 'MDC1 requests');
  const bytes = metrics.counter('imsdc_dcar_content_bytes_total', 'Content bytes handed to MFs');
  const unknown = metrics.counter('imsdc_dcar_unknown_tokens_total', 'Requests with a token that opens nothing');
  const app = fastify({
    serverFactory: (handler) => httpServer(config, handler),
    // Targets are compared byte for byte; a router that decodes or merges slashes would make two names of one thing.
    rewriteUrl: () => '/',
    exposeHeadRoutes: false,
    forceCloseConnections: true,
  });
  const answer = async (request: FastifyRequest, reply: FastifyReply) => {
    served.value++;
    const content = await serve(request, dependencies, unknown);
    if (request.method === 'GET') bytes.value += content.body.length;
    reply.code(content.status).headers(content.headers);
    if (content.status !== 304) reply.header('content-length', content.body.length);
    const empty = request.method === 'HEAD' || content.body.length === 0;
    return reply.send(empty ? undefined : content.body);
  };
  // Every method is answered here, before any body is read.
  app.addHook('onRequest', answer);
  app.get('/', () => NOTHING_HERE.body);
  app.setErrorHandler((error, _request, reply) => {
    log.error({ err: error }, 'MDC1 request failed');
    return reply.code(500).header('content-length', 0).send();
  });
  return app;
}

function httpServer(config: DcarConfig['mdc1'], handler: RequestListener): Server {
  // Handsets send no Host (ue-side.md 6.2), and a proxy may not add one.
  const options = { requireHostHeader: false, maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: KEEP_ALIVE_MS };
  const server = config.tls
    ? createTlsServer({ ...options, ...serverTlsOptions(config.tls), ALPNProtocols: ['http/1.1'] }, handler)
    : createServer(options, handler);
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.maxConnections = config.maxConnections;
  return server;
}

async function serve(
  request: FastifyRequest,
  { repository, grants, log }: ContentDependencies,
  unknown: Counter,
): Promise<ContentReply> {
  const target = /^\/bdc\/v1\/([A-Za-z0-9._~-]{22,128})\/([^?#]*)(?:\?([^#]*))?$/.exec(request.originalUrl);
  const grant = target && grants.find(target[1]!, Date.now());
  if (!grant) {
    unknown.value++;
    return NOTHING_HERE;
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { status: 405, headers: { allow: 'GET, HEAD', connection: 'close' }, body: Buffer.alloc(0) };
  }
  const view = Object.hasOwn(VIEWS, target[2]!) ? VIEWS[target[2]!] : undefined;
  if (!view) return NOTHING_HERE;
  const query = new URLSearchParams(target[3] ?? '');
  const reply = await view({
    grant,
    repository,
    query,
    header: (name) => request.headers[name] as string | undefined,
  });
  // Who fetched what, for operators; the token and the people stay out of the log.
  const { sessionId, streamId } = grant;
  log.info(
    { sessionId, streamId, view: target[2], appid: query.get('appid')?.slice(0, 64), status: reply.status },
    'served',
  );
  return reply;
}
