import { ImsdcError } from '../../errors.ts';
import type { Transport } from '../types.ts';
import type { SipListenerConfig } from './config.ts';
import type { OpenDatagramSocket } from './datagram-socket.ts';
import { STREAM_LIMITS, type StreamLimits } from './stream.ts';
import { TcpTransport } from './tcp.ts';
import { readTlsMaterial, TlsTransport } from './tls.ts';
import type { LocalAddress, SipTransport, TransportSink } from './transport.ts';
import { UdpTransport } from './udp.ts';
import { WebSocketTransport } from './websocket.ts';

/** Makes the transport of a listener; tests and the lab bring their own. */
export type TransportFactory = (
  transport: Transport,
  local: LocalAddress,
  sink: TransportSink,
  config: SipListenerConfig,
) => SipTransport;

/**
 * UDP, TCP, TLS, WebSocket. Throws SIP_TLS when a certificate is missing or cannot be read. `openDatagramSocket`:
 * instead of Node's.
 */
export function standardTransports(
  overrides: { [K in keyof StreamLimits]?: number | undefined },
  openDatagramSocket?: OpenDatagramSocket,
): TransportFactory {
  const given = Object.entries(overrides).filter(([, value]) => value !== undefined);
  const limits: StreamLimits = { ...STREAM_LIMITS, ...Object.fromEntries(given) };
  return (transport, local, sink, config) => {
    if (transport === 'udp') return new UdpTransport(local, sink, openDatagramSocket);
    if (transport === 'tcp') return new TcpTransport(local, sink, limits);
    const tls = transport === 'ws' || config.tls === undefined ? undefined : readTlsMaterial(config.tls);
    if (transport === 'ws' || (transport === 'wss' && tls !== undefined))
      return new WebSocketTransport(local, sink, { limits, tls, allowedOrigins: config.allowedOrigins ?? [] });
    if (tls === undefined)
      throw new ImsdcError('SIP_TLS', { file: 'tls', problem: `${transport} needs a certificate` });
    return new TlsTransport(local, sink, limits, tls);
  };
}
