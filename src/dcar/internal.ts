import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Http2Server, Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { type FastifyInstance, fastify } from 'fastify';
import { ImsdcError } from '../errors.ts';
import { isLoopback } from '../sbi/tls.ts';
import { AJV_OPTIONS } from '../sbi/validation.ts';
import { type CatalogueEntry, GrantBatch, type GrantBatchResult } from '../services/ndcar.ts';
import type { DcarConfig } from './config.ts';
import type { GrantTable } from './grants.ts';
import type { Repository } from './repository.ts';

/** A thousand grants with long application lists. */
const MAX_BATCH_BYTES = 8 << 20;
const MIN_SECRET_LENGTH = 16;

/**
 * DC5 towards our own DCSF: `POST /internal/v1/grants` with `Authorization: Bearer <secret>`, over HTTP/2 without TLS and
 * on loopback only. Throws DCAR_SECRET_MISSING, DCAR_PLAINTEXT.
 */
export function internalServer(
  config: DcarConfig['internal'],
  { grants, repository }: { grants: GrantTable; repository: Repository },
): FastifyInstance<Http2Server, Http2ServerRequest, Http2ServerResponse> {
  if (config.secret.length < MIN_SECRET_LENGTH)
    throw new ImsdcError('DCAR_SECRET_MISSING', { least: MIN_SECRET_LENGTH });
  if (!isLoopback(config.host)) throw new ImsdcError('DCAR_PLAINTEXT', { host: config.host });
  const bootId = randomBytes(9).toString('base64url');
  const expected = digest(`Bearer ${config.secret}`);
  const app = fastify({
    http2: true,
    bodyLimit: MAX_BATCH_BYTES,
    forceCloseConnections: true,
    ajv: { customOptions: AJV_OPTIONS },
  });
  app.addHook('onRequest', async (request) => {
    if (!timingSafeEqual(digest(request.headers.authorization ?? ''), expected)) {
      throw new ImsdcError('DCAR_GRANTS_UNAUTHORISED');
    }
  });
  app.setErrorHandler((error, _request, reply) => {
    const status =
      error instanceof ImsdcError ? (error.entry.http ?? 500) : ((error as { statusCode?: number }).statusCode ?? 500);
    reply.removeHeader('connection'); // what fastify adds to a 413; HTTP/2 has no such field (RFC 9113 8.2.2)
    return reply
      .code(status)
      .type('application/problem+json')
      .send({ status, detail: (error as Error).message });
  });
  app.post<{ Body: GrantBatch }>('/internal/v1/grants', { schema: { body: GrantBatch } }, async ({ body }) => {
    const nowMs = Date.now();
    const accepted = body.grant.filter((grant) => grants.add(grant, nowMs)).length;
    for (const token of body.revoke) grants.revoke(token);
    const refused = body.grant.length - accepted;
    return { bootId, accepted, refused, applications: catalogue(repository) } satisfies GrantBatchResult;
  });
  return app;
}

function catalogue(repository: Repository): CatalogueEntry[] {
  return repository
    .newest()
    .filter(({ role }) => role === 'application')
    .slice(0, 10_000)
    .map(({ applicationId, anchor }) => ({ applicationId, ...(anchor && { anchor }) }));
}

/** Equal lengths for the constant-time comparison. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
