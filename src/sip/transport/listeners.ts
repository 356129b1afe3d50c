import { ImsdcError } from '../../errors.ts';
import type { Destination, Transport, ViaValue } from '../types.ts';
import type { SipListenerConfig } from './config.ts';
import { TCP_LIMITS, type TcpLimits, TcpTransport } from './tcp.ts';
import { hostPort, isIPv6, type LocalAddress, type SipTransport, type TransportSink } from './transport.ts';
import { UdpTransport } from './udp.ts';

/** Makes the transport of a listener; TLS and WebSocket bring their own. */
export type TransportFactory = (transport: Transport, local: LocalAddress, sink: TransportSink) => SipTransport;

/** UDP and TCP. */
export function standardTransports(limits: Partial<TcpLimits>): TransportFactory {
  return (transport, local, sink) =>
    transport === 'udp' ? new UdpTransport(local, sink) : new TcpTransport(local, sink, { ...TCP_LIMITS, ...limits });
}

interface Listener {
  readonly transport: SipTransport;
  /** Host that peers see in Via and Contact. */
  readonly host: string;
}

/** The bound transports of an endpoint: which one sends where, and under which name peers know it. */
export class Listeners {
  readonly #all: Listener[] = [];
  readonly #sentBys = new Set<string>();

  /** Binds one more. Throws SIP_LISTEN. */
  async add(
    config: SipListenerConfig,
    make: TransportFactory,
    sinkFor: (transport: () => SipTransport) => TransportSink,
  ): Promise<void> {
    const transport: SipTransport = make(
      config.transport,
      { address: config.address, port: config.port },
      sinkFor(() => transport),
    );
    await transport.start();
    const host = config.advertise ?? config.address;
    this.#all.push({ transport, host });
    for (const name of [host, config.address]) this.#sentBys.add(hostPort(name.toLowerCase(), transport.local.port));
  }

  /** True when a response with this topmost Via answers a request of ours (RFC 3261 18.1.2). */
  owns(via: ViaValue): boolean {
    return this.#sentBys.has(`${via.host.toLowerCase()}:${via.port === 0 ? 5060 : via.port}`);
  }

  /** The listener that a response must leave from, else the first of that transport and address family. */
  find(to: Destination): SipTransport | undefined {
    return this.#find(to)?.transport;
  }

  /** host:port under which peers know the listener that sends to `to`. Throws SIP_UNROUTABLE. */
  hostFor(to: Destination): string {
    const listener = this.#find(to);
    if (listener !== undefined) return hostPort(listener.host, listener.transport.local.port);
    throw new ImsdcError('SIP_UNROUTABLE', {
      uri: hostPort(to.address, to.port),
      problem: `no ${to.transport} listener`,
    });
  }

  get connections(): number {
    return this.#all.reduce((sum, { transport }) => sum + transport.connections, 0);
  }

  addresses(): { transport: Transport; host: string; port: number }[] {
    return this.#all.map(({ transport, host }) => ({
      transport: transport.transport,
      host,
      port: transport.local.port,
    }));
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map(({ transport }) => transport.close()));
  }

  #find(to: Destination): Listener | undefined {
    let usable: Listener | undefined;
    for (const listener of this.#all) {
      const { transport, local } = listener.transport;
      if (transport !== to.transport || isIPv6(local.address) !== isIPv6(to.address)) continue;
      if (local.port === to.localPort && local.address === to.localAddress) return listener;
      usable ??= listener;
    }
    return usable;
  }
}
