import { isIP } from 'node:net';
import { ImsdcError } from '../../errors.ts';
import { bareHost, parseAddress, parseUri, type SipUri } from '../message/index.ts';
import { defaultPort } from '../transaction/derived.ts';
import type { Destination, Transport } from '../types.ts';
import { DnsCache } from './dns-cache.ts';
import { dnsNameServer, type NameServer, type PointerRecord } from './name-server.ts';
import { isInvalidName } from './transport.ts';

/** Destinations of one name that are tried at all: more would keep a call waiting for longer than anybody does. */
const MAX_DESTINATIONS = 16;

export interface ResolverOptions {
  readonly nowMs: () => number;
  readonly nameServer?: NameServer;
  /** 0 <= x < 1; spreads load by SRV weight. */
  readonly random?: () => number;
  /** Whether a listener of ours sends over that transport; default: over each. */
  readonly speaks?: (transport: Transport) => boolean;
}

/**
 * RFC 3263 4.1 and 4.2: IP literals, explicit ports, `transport` and `maddr`, NAPTR, SRV by priority and weight, A/AAAA,
 * default ports. A domain without NAPTR records is asked for its SRV records over UDP first, then TCP.
 */
export class Resolver {
  readonly #options: Required<ResolverOptions>;
  readonly #cache: DnsCache;

  constructor(options: ResolverOptions) {
    const { nameServer = dnsNameServer(), random = Math.random, speaks = () => true, nowMs } = options;
    this.#options = { nowMs, nameServer, random, speaks };
    this.#cache = new DnsCache(nowMs);
  }

  /** Destinations of a URI or Route value in the order to try them. Throws SIP_UNROUTABLE when there are none. */
  async resolve(uriOrRoute: string): Promise<Destination[]> {
    const text = uriOrRoute.includes('<') ? (parseAddress(uriOrRoute)?.uri ?? '') : uriOrRoute;
    const uri = parseUri(text);
    if (uri === undefined || uri.kind !== 'sip') throw unroutable(uriOrRoute, 'not a sip URI');
    const transports = transportsOf(uri);
    if (transports === undefined) throw unroutable(uriOrRoute, `transport ${uri.params.get('transport')}`);
    const host = bareHost(uri.params.get('maddr') ?? uri.host);
    // RFC 7118 5.1: a WebSocket client goes by a name that only its own connection leads to.
    if (isInvalidName(host)) return [{ transport: websocketOf(uri), address: host.toLowerCase(), port: 0 }];
    const found = await this.#found(uri, host, transports);
    if (found.length === 0) throw unroutable(uriOrRoute, 'no address');
    const named = uri.params.get('transport') !== undefined;
    return found.slice(0, MAX_DESTINATIONS).map((to) => ({
      ...to,
      ...(named && { transportFixed: true }),
      // RFC 5922 4: the certificate is for the domain of the URI, not for what the DNS has made of it.
      ...((to.transport === 'tls' || to.transport === 'wss') && { serverName: bareHost(uri.host) }),
    }));
  }

  async #found(uri: SipUri, host: string, transports: readonly [Transport, ...Transport[]]): Promise<Destination[]> {
    const [preferred] = transports;
    if (isIP(host) !== 0) return [{ transport: preferred, address: host, port: uri.port || defaultPort(preferred) }];
    const found = uri.port === 0 ? await this.#viaServices(host, uri, transports) : [];
    if (found.length === 0)
      found.push(...(await this.#viaAddresses(host, preferred, uri.port || defaultPort(preferred))));
    return found;
  }

  /** RFC 3263 4.1: what the domain prefers, else what we do. */
  async #viaServices(host: string, uri: SipUri, transports: readonly Transport[]): Promise<Destination[]> {
    const found: Destination[] = [];
    if (uri.params.get('transport') === undefined) {
      const pointers = await this.#cache.get(`naptr ${host}`, () => this.#options.nameServer.pointers(host));
      for (const { transport, name } of inPreference(pointers, uri.scheme === 'sips')) {
        if (this.#options.speaks(transport)) found.push(...(await this.#viaService(name, transport)));
      }
    }
    for (const transport of found.length === 0 ? transports : []) {
      found.push(...(await this.#viaService(`${SERVICES[transport]}.${host}`, transport)));
      if (found.length > 0) break;
    }
    return found;
  }

  async #viaService(name: string, transport: Transport): Promise<Destination[]> {
    const records = await this.#cache.get(`srv ${name}`, () => this.#options.nameServer.services(name));
    const found: Destination[] = [];
    for (const record of byPriority(records, this.#options.random)) {
      // RFC 2782: "." means that the service is decidedly not there.
      if (record.name !== '.' && record.name !== '')
        found.push(...(await this.#viaAddresses(record.name, transport, record.port)));
    }
    return found;
  }

  async #viaAddresses(host: string, transport: Transport, port: number): Promise<Destination[]> {
    const addresses = await this.#cache.get(`host ${host}`, () => this.#options.nameServer.addresses(host));
    return addresses.map((address) => ({ transport, address, port }));
  }
}

/** RFC 3263 4.2, RFC 7118 9. */
const SERVICES: Readonly<Record<Transport, string>> = {
  udp: '_sip._udp',
  tcp: '_sip._tcp',
  tls: '_sips._tcp',
  ws: '_sip._ws',
  wss: '_sips._ws',
};

/** RFC 3263 4.1, RFC 7118 5.3: the services of NAPTR records that we know. */
const POINTED: Readonly<Record<string, Transport>> = {
  'sip+d2u': 'udp',
  'sip+d2t': 'tcp',
  'sips+d2t': 'tls',
  'sip+d2w': 'ws',
  'sips+d2w': 'wss',
};

/** RFC 3403 4.1: lowest order first, then lowest preference. For a sips URI only what is secure. */
function inPreference(pointers: readonly PointerRecord[], secure: boolean): { transport: Transport; name: string }[] {
  return [...pointers]
    .sort((a, b) => a.order - b.order || a.preference - b.preference)
    .flatMap(({ flags, service, replacement }) => {
      const transport = POINTED[service.toLowerCase()];
      const fits = flags.toLowerCase() === 's' && (!secure || transport === 'tls' || transport === 'wss');
      return transport !== undefined && fits && replacement !== '' ? [{ transport, name: replacement }] : [];
    });
}

/** The Contact of a client over WSS still says `transport=ws` (RFC 7118 5.2.1). */
function websocketOf(uri: SipUri): Transport {
  const named = uri.params.get('transport')?.toLowerCase();
  return uri.scheme === 'sips' || named === 'wss' ? 'wss' : 'ws';
}

function unroutable(uri: string, problem: string): ImsdcError {
  return new ImsdcError('SIP_UNROUTABLE', { uri, problem });
}

/** Preferred first; undefined for a transport that nobody here speaks. */
function transportsOf(uri: SipUri): readonly [Transport, ...Transport[]] | undefined {
  const named = uri.params.get('transport')?.toLowerCase();
  const secure = uri.scheme === 'sips';
  if (named === undefined) return secure ? ['tls'] : uri.port === 0 ? ['udp', 'tcp'] : ['udp'];
  if (named === 'udp') return secure ? undefined : ['udp'];
  if (named === 'tcp') return [secure ? 'tls' : 'tcp'];
  if (named === 'tls') return ['tls'];
  if (named === 'ws' || named === 'wss') return [secure ? 'wss' : named];
  return undefined;
}

/** RFC 2782: lowest priority first; within one, drawn by weight. */
function byPriority<T extends { priority: number; weight: number }>(records: readonly T[], random: () => number): T[] {
  const ordered: T[] = [];
  const waiting = [...records].sort((a, b) => a.priority - b.priority);
  while (waiting.length > 0) {
    const group = waiting.filter(({ priority }) => priority === waiting[0]!.priority);
    let at = random() * group.reduce((sum, { weight }) => sum + weight + 1, 0);
    const drawn = group.find(({ weight }) => (at -= weight + 1) < 0) ?? group[0]!;
    ordered.push(drawn);
    waiting.splice(waiting.indexOf(drawn), 1);
  }
  return ordered;
}
