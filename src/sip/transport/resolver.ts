import { lookup, resolveSrv } from 'node:dns/promises';
import { isIP } from 'node:net';
import { ImsdcError } from '../../errors.ts';
import { bareHost, parseAddress, parseUri, type SipUri } from '../message/index.ts';
import { defaultPort } from '../transaction/derived.ts';
import type { Destination, Transport } from '../types.ts';
import { isInvalidName } from './transport.ts';

/** The two questions asked of the DNS. Tests bring their own. */
export interface NameServer {
  addresses(host: string): Promise<string[]>;
  services(name: string): Promise<{ name: string; port: number; priority: number; weight: number }[]>;
}

const systemNameServer: NameServer = {
  addresses: async (host) => (await lookup(host, { all: true })).map(({ address }) => address),
  services: (name) => resolveSrv(name),
};

/** Answers kept; the oldest goes first. */
const MAX_CACHED_NAMES = 1000;
const CACHE_MS = 30_000;
/** A name that does not exist is asked for again after this time only. */
const NEGATIVE_CACHE_MS = 5000;

export interface ResolverOptions {
  readonly nowMs: () => number;
  readonly nameServer?: NameServer;
  /** 0 <= x < 1; spreads load by SRV weight. */
  readonly random?: () => number;
}

/**
 * RFC 3263 as far as a lab needs it: IP literals, explicit ports, `transport` and `maddr`, SRV, A/AAAA, default ports.
 * No NAPTR: without a `transport` parameter UDP is tried first, then TCP.
 */
export class Resolver {
  readonly #options: Required<ResolverOptions>;
  readonly #cache = new Map<string, { untilMs: number; answer: Promise<unknown[]> }>();

  constructor(options: ResolverOptions) {
    this.#options = { nameServer: systemNameServer, random: Math.random, ...options };
  }

  /** Destinations of a URI or Route value in the order to try them. Throws SIP_UNROUTABLE when there are none. */
  async resolve(uriOrRoute: string): Promise<Destination[]> {
    const text = uriOrRoute.includes('<') ? (parseAddress(uriOrRoute)?.uri ?? '') : uriOrRoute;
    const uri = parseUri(text);
    if (uri === undefined || uri.kind !== 'sip') throw unroutable(uriOrRoute, 'not a sip URI');
    const transports = transportsOf(uri);
    if (transports === undefined) throw unroutable(uriOrRoute, `transport ${uri.params.get('transport')}`);
    const host = bareHost(uri.params.get('maddr') ?? uri.host);
    const [preferred] = transports;
    // RFC 7118 5.1: a WebSocket client goes by a name that only its own connection leads to.
    if (isInvalidName(host)) return [{ transport: websocketOf(uri), address: host.toLowerCase(), port: 0 }];
    const found = await this.#found(uri, host, transports);
    if (found.length === 0) throw unroutable(uriOrRoute, 'no address');
    const secure = preferred === 'tls' || preferred === 'wss';
    const named = uri.params.get('transport') !== undefined;
    if (!secure && !named) return found;
    return found.map((to) => ({
      ...to,
      ...(named && { transportFixed: true }),
      // RFC 5922 4: the certificate is for the domain of the URI, not for what the DNS has made of it.
      ...(secure && { serverName: bareHost(uri.host) }),
    }));
  }

  async #found(uri: SipUri, host: string, transports: readonly [Transport, ...Transport[]]): Promise<Destination[]> {
    const [preferred] = transports;
    if (isIP(host) !== 0) return [{ transport: preferred, address: host, port: uri.port || defaultPort(preferred) }];
    const found = uri.port === 0 ? await this.#viaServices(host, transports) : [];
    if (found.length === 0)
      found.push(...(await this.#viaAddresses(host, preferred, uri.port || defaultPort(preferred))));
    return found;
  }

  async #viaServices(host: string, transports: readonly Transport[]): Promise<Destination[]> {
    for (const transport of transports) {
      const prefix = SERVICES[transport];
      const name = `${prefix}.${host}`;
      const records = await this.#cached(`srv ${name}`, () => this.#options.nameServer.services(name));
      const found: Destination[] = [];
      for (const record of byPriority(records, this.#options.random)) {
        if (record.name !== '.' && record.name !== '')
          found.push(...(await this.#viaAddresses(record.name, transport, record.port)));
      }
      if (found.length > 0) return found;
    }
    return [];
  }

  async #viaAddresses(host: string, transport: Transport, port: number): Promise<Destination[]> {
    const addresses = await this.#cached(`host ${host}`, () => this.#options.nameServer.addresses(host));
    return addresses.map((address) => ({ transport, address, port }));
  }

  /** Questions for the same name share one answer; a failure counts as "none". */
  async #cached<T>(key: string, ask: () => Promise<T[]>): Promise<T[]> {
    const nowMs = this.#options.nowMs();
    const known = this.#cache.get(key);
    if (known !== undefined && known.untilMs > nowMs) return (await known.answer) as T[];
    const entry = { untilMs: nowMs + CACHE_MS, answer: Promise.resolve<T[]>([]) };
    entry.answer = ask().then(
      (answer) => {
        if (answer.length === 0) entry.untilMs = nowMs + NEGATIVE_CACHE_MS;
        return answer;
      },
      () => {
        entry.untilMs = nowMs + NEGATIVE_CACHE_MS;
        return [];
      },
    );
    this.#cache.delete(key);
    this.#cache.set(key, entry);
    if (this.#cache.size > MAX_CACHED_NAMES) this.#cache.delete(this.#cache.keys().next().value!);
    return entry.answer;
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
