import type { Http2ServerRequest, Http2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';

/** What each session's peer called itself; a PING carries no headers, so the session remembers. */
const known = new WeakMap<Http2Session, { userAgent: string | undefined; peer: string }>();

/**
 * Who is behind a request: the subject of its certificate where there is one, else the address; and what it calls
 * itself (`IMS_AS-<instance>`, TS 29.500 5.2.2.2), so that two functions of one host are two peers.
 */
export function peerOf(request: Http2ServerRequest): string {
  const session = request.stream.session;
  const userAgent = request.headers['user-agent'];
  if (!session) return describe('unknown', userAgent);
  const entry = known.get(session);
  if (entry && entry.userAgent === userAgent) return entry.peer;
  const certificate = (session.socket as Partial<TLSSocket>).getPeerCertificate?.();
  const who = certificate?.fingerprint256 ?? session.socket?.remoteAddress ?? 'unknown';
  const peer = describe(who, userAgent);
  known.set(session, { userAgent, peer });
  return peer;
}

/** The peer of a session that has sent a request already. */
export function peerOfSession(session: Http2Session): string | undefined {
  return known.get(session)?.peer;
}

const describe = (who: string, userAgent = 'anonymous') => `${userAgent.slice(0, 128)}@${who}`;
