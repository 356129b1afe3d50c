import { ImsdcError } from '../../errors.ts';
import type { Destination, Transport, ViaValue } from '../types.ts';
import type { SipListenerConfig } from './config.ts';
import type { TransportFactory } from './factory.ts';
import {
  hostPort,
  isInvalidName,
  isIPv6,
  isLoopback,
  isWildcard,
  type SipTransport,
  type TransportSink,
} from './transport.ts';

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
      config,
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

  /** The listener that a response must leave from, else the first that can reach that address. */
  find(to: Destination): SipTransport | undefined {
    return this.#find(to)?.transport;
  }

  /** host:port under which peers know the listener that sends to `to`. Throws SIP_UNROUTABLE. */
  hostFor(to: Destination): string {
    const host = this.nameFor(to);
    if (host !== undefined) return host;
    throw new ImsdcError('SIP_UNROUTABLE', {
      uri: hostPort(to.address, to.port),
      problem: `no ${to.transport} listener`,
    });
  }

  /** The same, or undefined when there is none. */
  nameFor(to: Destination): string | undefined {
    const listener = this.#find(to);
    return listener === undefined ? undefined : hostPort(listener.host, listener.transport.local.port);
  }

  /** Whether any listener sends over that transport. */
  speaks(transport: Transport): boolean {
    return this.#all.some((listener) => listener.transport.transport === transport);
  }

  /** Transport and host:port for the Via of a request to `to`. Throws SIP_UNROUTABLE. */
  viaFor(to: Destination): { transport: Transport; host: string } {
    const host = this.hostFor(to);
    return { transport: this.#find(to)?.transport.transport ?? to.transport, host };
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
    if ((to.transport === 'ws' || to.transport === 'wss') && isInvalidName(to.address)) return this.#holderOf(to);
    let usable: Listener | undefined;
    let fitting: Listener | undefined;
    for (const listener of this.#all) {
      const { transport, local } = listener.transport;
      if (transport !== to.transport) continue;
      if (local.port === to.localPort && local.address === to.localAddress) return listener;
      if (isIPv6(local.address) !== isIPv6(to.address)) continue;
      usable ??= listener;
      // A socket that is bound to 127.0.0.1 reaches nothing but this host.
      if (isWildcard(local.address) || isLoopback(local.address) === isLoopback(to.address)) fitting ??= listener;
    }
    return fitting ?? usable;
  }

  /** RFC 7118 5.1: the listener that has the connection of that name, be it WS or WSS: the name does not tell. */
  #holderOf(to: Destination): Listener | undefined {
    const webSockets = this.#all.filter(
      ({ transport }) => transport.transport === 'ws' || transport.transport === 'wss',
    );
    return (
      webSockets.find(({ transport }) => transport.holdsName?.(to.address) === true) ??
      webSockets.find(({ transport }) => transport.transport === to.transport)
    );
  }
}
