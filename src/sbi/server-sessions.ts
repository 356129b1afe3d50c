import type { Http2SecureServer, Http2Server, Http2Session } from 'node:http2';
import type { Logger } from '../base/log.ts';
import { peerOfSession } from './peer.ts';

interface Options {
  readonly log: Logger;
  readonly maxSessions?: number;
  readonly pingIntervalMs?: number;
}

/**
 * Bounds the number of sessions and keeps asking each peer whether it lives: an answered PING, or one of the peer's
 * own, calls `alive`. A peer that leaves ours unanswered until the next is gone, whatever TCP believes.
 */
export function watchSessions(
  server: Http2Server | Http2SecureServer,
  options: Options,
  alive: (peer: string) => void,
): void {
  const { log, maxSessions = 256, pingIntervalMs = 20_000 } = options;
  let sessions = 0;
  server.on('session', (session: Http2Session) => {
    if (++sessions > maxSessions) {
      log.warn({ sessions }, 'too many SBI sessions, closing the newest');
      session.once('close', () => sessions--);
      session.destroy();
      return;
    }
    const touch = () => {
      const peer = peerOfSession(session);
      if (peer !== undefined) alive(peer);
    };
    let pending = false;
    const timer = setInterval(() => {
      if (pending) {
        session.destroy();
        return;
      }
      pending = session.ping((error) => {
        if (error) return;
        pending = false;
        touch();
      });
    }, pingIntervalMs);
    session.on('ping', touch);
    session.on('close', () => {
      sessions--;
      clearInterval(timer);
    });
    session.on('error', (error) => log.debug({ reason: error.message }, 'SBI session error'));
  });
  server.on('sessionError', (error: Error) => log.debug({ reason: error.message }, 'SBI session error'));
  server.on('tlsClientError', (error: Error) => log.debug({ reason: error.message }, 'TLS handshake refused'));
}
