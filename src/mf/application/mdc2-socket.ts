import { connect as connectTcp, isIP } from 'node:net';
import { checkServerIdentity, connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import { clientTlsOptions, type SbiTls } from '../../sbi/tls.ts';
import { MDC2_HEADER, MDC2_SUBPROTOCOL } from '../../services/mdc2.ts';
import type { ApplicationTarget } from '../mrm/service-port.ts';

export interface Mdc2SocketOptions {
  readonly localAddress?: string | undefined;
  readonly connectTimeoutMs: number;
  readonly tls?: SbiTls | undefined;
}

export type OpenSocket = (target: ApplicationTarget, streamId: number, maxMessageSizeBytes: number) => WebSocket;

/** A DC AS that vanishes without a word is noticed so late at most; until then its channel is only slow. */
const TCP_KEEP_ALIVE_MS = 30_000;

/**
 * Opens the sockets of MDC2: to the address that the AS gave, with SNI, Host and path from the URL (as R27 has it for
 * MDC1), mutual TLS, no redirects, no compression (it would cost memory per socket, and channels carry small messages).
 */
export function socketOpener(options: Mdc2SocketOptions): OpenSocket {
  const { connectTimeoutMs, localAddress } = options;
  const tls = options.tls && clientTlsOptions(options.tls);
  return (target, streamId, maxMessageSizeBytes) => {
    const { address, port, ticket, url } = target;
    const { hostname } = new URL(url);
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const where = { host: address, port, localAddress, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS };
    const socket = new WebSocket(url, [MDC2_SUBPROTOCOL], {
      headers: { ...channelHeaders(target, streamId), ...(ticket && { authorization: `Bearer ${ticket}` }) },
      followRedirects: false,
      handshakeTimeout: connectTimeoutMs,
      maxPayload: maxMessageSizeBytes,
      perMessageDeflate: false,
      autoPong: false,
      createConnection: () =>
        url.startsWith('ws:')
          ? connectTcp({ ...where, noDelay: true })
          : connectTls({
              ...tls,
              ...where,
              ALPNProtocols: ['http/1.1'],
              // An address is no server name (RFC 6066 3); the certificate must be the URL's either way.
              servername: isIP(host) ? '' : host,
              checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
            }).setNoDelay(true),
    });
    answerPings(socket);
    return socket;
  };
}

/**
 * Of several pings the last one alone may be answered (RFC 6455 5.5.3): so one answer at most waits for a DC AS that asks
 * and does not read.
 */
function answerPings(socket: WebSocket): void {
  let isAnswering = false;
  let last: Buffer | undefined;
  const answer = (data: Buffer) => {
    if (socket.readyState !== WebSocket.OPEN) return;
    isAnswering = true;
    socket.pong(data, undefined, () => {
      isAnswering = false;
      const next = last;
      last = undefined;
      if (next !== undefined) answer(next);
    });
  };
  socket.on('ping', (data) => {
    if (isAnswering) last = data;
    else answer(data);
  });
}

function channelHeaders(target: ApplicationTarget, streamId: number): Record<string, string> {
  return {
    [MDC2_HEADER.termination]: encodeURIComponent(target.terminationId),
    [MDC2_HEADER.mediaId]: encodeURIComponent(target.mediaId),
    [MDC2_HEADER.streamId]: String(streamId),
    [MDC2_HEADER.label]: encodeURIComponent(target.label),
    [MDC2_HEADER.subprotocol]: encodeURIComponent(target.subprotocol),
    [MDC2_HEADER.maxMessageSize]: String(target.peerMaxMessageSizeBytes),
  };
}
