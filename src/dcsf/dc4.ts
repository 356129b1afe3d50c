import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { type FastifyInstance, type FastifyRequest, fastify } from 'fastify';
import Type, { type Static } from 'typebox';
import { ImsdcError } from '../errors.ts';
import { isLoopback } from '../sbi/tls.ts';
import { AJV_OPTIONS } from '../sbi/validation.ts';
import type { PlacedDcsfConfig } from './config.ts';
import type { ChannelControl } from './index.ts';

/** `{origin}` + this + `/applications/{applicationId}/lines`. The standard leaves DC4 open: this one is ours. */
export const DC4_PATH = '/ndcsf-dc4/v1';

/** POST .../lines: channels from an application to a user (A2P). One of `servedUser` and `sessionId`. */
export const LineRequest = Type.Object(
  {
    /** Public identity; of several calls the newest counts. */
    servedUser: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
    sessionId: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    channels: Type.Array(
      Type.Object({
        name: Type.String({ pattern: '^[A-Za-z0-9.-]{1,32}$' }),
        subprotocol: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' })),
        ordered: Type.Optional(Type.Boolean()),
        maxRetransmissions: Type.Optional(Type.Integer({ minimum: 0, maximum: 65535 })),
        maxTimeMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 65535 })),
      }),
      { maxItems: 16 },
    ),
    /** Also, or with no channels only, the bootstrap channel of the user's own network, if the call has none. */
    bootstrap: Type.Optional(Type.Boolean()),
  },
  // Something must be wanted.
  {
    anyOf: [
      { properties: { channels: { minItems: 1 } } },
      { properties: { bootstrap: { const: true } }, required: ['bootstrap'] },
    ],
  },
);
export type LineRequest = Static<typeof LineRequest>;

/** 201: the line is offered to the UE; its channels come over MDC2 when the UE has taken it. */
export interface LineCreated {
  readonly sessionId: string;
  readonly mediaId: string;
  readonly streams: readonly number[];
}

export interface Dc4 {
  /** `http://127.0.0.1:8095` */
  readonly address: string;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 16_384;

/**
 * DC4, the private API for DC ASs (HTTP/1.1, JSON): each application proves itself with the secret it shares with us,
 * and with its certificate off loopback. Throws DCSF_PLAINTEXT.
 */
export async function startDc4(
  config: PlacedDcsfConfig['dc4'],
  servers: PlacedDcsfConfig['policy']['dcAs'],
  channels: ChannelControl,
): Promise<Dc4> {
  const { host, port, tls } = config;
  if (!tls && !isLoopback(host)) throw new ImsdcError('DCSF_PLAINTEXT', { host });
  const options = {
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
    ajv: { customOptions: AJV_OPTIONS },
    ...(tls && {
      https: {
        cert: readFileSync(tls.certFile),
        key: readFileSync(tls.keyFile),
        ca: readFileSync(tls.caFile),
        minVersion: 'TLSv1.2' as const,
        requestCert: true,
        rejectUnauthorized: true,
      },
    }),
  };
  const app = fastify(options) as unknown as FastifyInstance;
  routes(app, servers, channels);
  await app.listen({ host, port });
  const { address, family, port: bound } = app.server.address() as AddressInfo;
  const origin = `${tls ? 'https' : 'http'}://${family === 'IPv6' ? `[${address}]` : address}:${bound}`;
  return { address: origin, close: () => app.close() };
}

function routes(app: FastifyInstance, servers: PlacedDcsfConfig['policy']['dcAs'], channels: ChannelControl): void {
  app.setErrorHandler((error, _request, reply) => {
    const status =
      error instanceof ImsdcError ? (error.entry.http ?? 500) : ((error as { statusCode?: number }).statusCode ?? 500);
    const cause = error instanceof ImsdcError ? error.entry.cause : undefined;
    return reply
      .code(status)
      .type('application/problem+json')
      .send({ status, ...(cause && { cause }), detail: (error as Error).message });
  });
  const authorised = ({ headers, params }: FastifyRequest): string => {
    const { applicationId } = params as { applicationId: string };
    const secret = Object.hasOwn(servers, applicationId) ? servers[applicationId]!.secret : undefined;
    // Also for an application that does not exist: the answer must not say which ones do.
    const equal = timingSafeEqual(digest(headers.authorization ?? ''), digest(`Bearer ${secret ?? ''}`));
    if (secret === undefined || !equal) throw new ImsdcError('DCSF_DC4_UNAUTHORISED');
    return applicationId;
  };
  app.post<{ Body: LineRequest }>(
    `${DC4_PATH}/applications/:applicationId/lines`,
    { onRequest: async (request) => void authorised(request), schema: { body: LineRequest } },
    async (request, reply): Promise<LineCreated> => {
      const created = await channels.add({ applicationId: authorised(request), ...request.body });
      reply.code(201);
      return created;
    },
  );
  app.delete<{ Params: { sessionId: string; mediaId: string } }>(
    `${DC4_PATH}/applications/:applicationId/sessions/:sessionId/lines/:mediaId`,
    async (request, reply) => {
      const { mediaId, sessionId } = request.params;
      await channels.remove({ applicationId: authorised(request), sessionId, mediaId });
      return reply.code(204).send();
    },
  );
}

/** Equal lengths for the constant-time comparison. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
