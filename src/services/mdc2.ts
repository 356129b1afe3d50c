import { createHmac, timingSafeEqual } from 'node:crypto';
import Type, { type Static } from 'typebox';
import { requireValid } from '../sbi/validation.ts';

/** MDC2 over WebSocket: what MF, DCSF and DC AS agree on (docs/mdc2.md). */

/** Sec-WebSocket-Protocol. */
export const MDC2_SUBPROTOCOL = 'imsdc.mdc2.v1';

/** Header fields of the upgrade request: which channel this socket carries. Label and subprotocol are percent-encoded. */
export const MDC2_HEADER = {
  termination: 'mdc2-termination',
  mediaId: 'mdc2-media-id',
  streamId: 'mdc2-stream-id',
  label: 'mdc2-label',
  subprotocol: 'mdc2-subprotocol',
  maxMessageSize: 'mdc2-max-message-size',
} as const;

/** Why a side closed a socket. Codes from 4000 are ours (RFC 6455 7.4.2). */
export const MDC2_CLOSE = {
  /** The channel, the line or the call ended. */
  ended: 1000,
  /** The MF goes away, or lost the association. */
  goingAway: 1001,
  /** One side took nothing for too long (R29). */
  slowReader: 4001,
  /** The line was given to another DC AS. */
  moved: 4002,
} as const;

/** P2A: the user opened it. A2P: we did. P2A2P: both users have one, and the DC AS is between them. */
export const Mdc2Mode = Type.Enum(['P2A', 'A2P', 'P2A2P']);
export type Mdc2Mode = Static<typeof Mdc2Mode>;

/** What a ticket says: whose channel this is. */
export const Mdc2Ticket = Type.Object({
  /** 128 random bits. */
  jti: Type.String({ minLength: 22, maxLength: 64 }),
  /** Epoch seconds. */
  exp: Type.Integer({ minimum: 0 }),
  app: Type.String({ minLength: 1, maxLength: 256 }),
  /** The same for every line of one call: by it a DC AS finds the two channels of P2A2P. */
  session: Type.String({ minLength: 1, maxLength: 128 }),
  mode: Mdc2Mode,
  /** Public identities, where the policy tells them: of the user at termination `served`, and of the other one. */
  served: Type.Optional(Type.String({ maxLength: 512 })),
  peer: Type.Optional(Type.String({ maxLength: 512 })),
});
export type Mdc2Ticket = Static<typeof Mdc2Ticket>;

const JOSE_HEADER = Buffer.from(JSON.stringify({ alg: 'HS256', typ: 'JWT' })).toString('base64url');

/** A ticket as a JWT (RFC 7519, HS256), so that a DC AS in any language can check it without asking anybody. */
export function sealTicket(ticket: Mdc2Ticket, secret: string): string {
  const signed = `${JOSE_HEADER}.${Buffer.from(JSON.stringify(ticket)).toString('base64url')}`;
  return `${signed}.${signature(signed, secret)}`;
}

/** What a ticket says; undefined when it is forged, expired or no ticket at all. Never throws. */
export function openTicket(text: string, secret: string, nowMs: number): Mdc2Ticket | undefined {
  const [header, payload, given, ...more] = text.split('.');
  if (header !== JOSE_HEADER || !payload || given === undefined || more.length > 0) return undefined;
  const [is, should] = [Buffer.from(given), Buffer.from(signature(`${header}.${payload}`, secret))];
  if (is.length !== should.length || !timingSafeEqual(is, should)) return undefined;
  try {
    const ticket: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString());
    requireValid<Mdc2Ticket>(Mdc2Ticket, ticket);
    return ticket.exp * 1_000 > nowMs ? ticket : undefined;
  } catch {
    return undefined; // signed, and yet no ticket: somebody else's JWT under the same secret
  }
}

function signature(text: string, secret: string): string {
  return createHmac('sha256', secret).update(text).digest('base64url');
}
