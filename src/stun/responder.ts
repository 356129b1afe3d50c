import type { TransportAddress } from './message.ts';
import { BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, decodeStun, encodeStun, integrityHolds } from './message.ts';

export interface IceCredentials {
  readonly ufrag: string;
  readonly password: string;
}

export interface StunVerdict {
  /** To be sent back to `source`; null: not a Binding request, say nothing. */
  readonly reply: Buffer | null;
  /** The request proved that it knows our ICE password. */
  readonly authenticated: boolean;
  /** Authenticated and USE-CANDIDATE: the controlling agent chose this pair (RFC 8445 7.3.1.5). */
  readonly nominated: boolean;
}

const SILENCE: StunVerdict = { reply: null, authenticated: false, nominated: false };

/**
 * Answers one STUN datagram as an ICE-lite agent (RFC 8445 2.5), or as a plain STUN server for UEs without ICE that
 * use STUN as keep-alive (RFC 5763 6.7.2): a request without credentials gets its mapped address. A request that
 * names credentials must have ours: 400 without MESSAGE-INTEGRITY, 401 with a wrong one (RFC 8489 9.1.3), 420 for
 * attributes that must be understood and are not.
 */
export function answerStun(
  datagram: Buffer,
  source: TransportAddress,
  credentials: IceCredentials | null,
): StunVerdict {
  const request = decodeStun(datagram);
  if (!request || request.type !== BINDING_REQUEST) return SILENCE;
  const { transactionId } = request;
  const refuse = (code: number, reason: string): StunVerdict => ({
    ...SILENCE,
    reply: encodeStun({
      type: BINDING_ERROR,
      transactionId,
      error: { code, reason },
      unknownAttributes: code === 420 ? request.unknownAttributes : [],
    }),
  });
  const claims = request.username !== undefined || request.integrityOffset >= 0;
  if (claims && credentials) {
    if (request.username === undefined || request.integrityOffset < 0) return refuse(400, 'Bad Request');
    const ours = request.username.startsWith(`${credentials.ufrag}:`);
    if (!ours || !integrityHolds(request, credentials.password)) return refuse(401, 'Unauthenticated');
  }
  // ICE-CONTROLLED, ICE-CONTROLLING and SOFTWARE are comprehension-optional; a lite agent is always controlled.
  if (request.unknownAttributes.length > 0) return refuse(420, 'Unknown Attribute');
  const authenticated = claims && credentials !== null;
  return {
    reply: encodeStun({
      type: BINDING_SUCCESS,
      transactionId,
      mappedAddress: source,
      ...(authenticated ? { password: credentials.password } : {}),
    }),
    authenticated,
    nominated: authenticated && request.useCandidate,
  };
}
