import type { Http2SecureServer, Http2Server, Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { Logger } from '../base/log.ts';

/** Handshakes under way at once: many more than a restart of all peers brings within the time that one takes. */
const MAX_NEWCOMERS = 128;

/**
 * Whoever has not finished the TLS handshake has proven nothing: of too many of them the oldest goes, so that strangers
 * can neither take the file descriptors of this process nor keep a network function out.
 */
export function boundNewcomers(server: Http2Server | Http2SecureServer, log: Logger): void {
  /** By remote address and port, oldest first. */
  const newcomers = new Map<string, Socket>();
  const keyOf = ({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>) =>
    `${remoteAddress} ${remotePort}`;
  server.prependListener('connection', (socket: Socket) => {
    const key = keyOf(socket);
    const oldest = newcomers.size < MAX_NEWCOMERS ? undefined : newcomers.entries().next().value;
    if (oldest !== undefined) {
      log.debug({ peer: oldest[0] }, 'too many TLS handshakes, ending the oldest');
      newcomers.delete(oldest[0]);
      oldest[1].destroy();
    }
    newcomers.set(key, socket);
    socket.once('close', () => {
      if (newcomers.get(key) === socket) newcomers.delete(key);
    });
  });
  server.on('session', ({ socket }: Http2Session) => newcomers.delete(keyOf(socket)));
}
