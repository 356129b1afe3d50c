import { Resolver as DnsResolver, lookup } from 'node:dns/promises';
import { isIP } from 'node:net';

/** What the DNS says of a name, and for how long. */
export interface DnsAnswer<T> {
  readonly records: readonly T[];
  /** Time to live; undefined: it was not told. */
  readonly ttlMs: number | undefined;
}

/** SRV (RFC 2782). */
export interface ServiceRecord {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** NAPTR (RFC 3403) as SIP uses it: flag `s`, `replacement` names SRV records. */
export interface PointerRecord {
  readonly flags: string;
  /** `SIP+D2U`, `SIP+D2T`, `SIPS+D2T`, ... (RFC 3263 4.1). */
  readonly service: string;
  readonly replacement: string;
  readonly order: number;
  readonly preference: number;
}

/** The three questions asked of the DNS. Each rejects when there is no answer or none of that type. */
export interface NameServer {
  addresses(host: string): Promise<DnsAnswer<string>>;
  services(name: string): Promise<DnsAnswer<ServiceRecord>>;
  pointers(name: string): Promise<DnsAnswer<PointerRecord>>;
}

/** A server that does not answer holds a call up by twice this. */
const TIMEOUT_MS = 1000;
const TRIES = 2;

/**
 * The DNS by way of c-ares: the servers given (`192.0.2.53`, `[2001:db8::53]:5353`), else those of the system. Addresses
 * come with their TTL; Node.js does not tell that of SRV and NAPTR records. Names without a dot, and names that the DNS
 * does not know, are asked of the system too, which has /etc/hosts.
 */
export function dnsNameServer(servers: readonly string[] = []): NameServer {
  const dns = new DnsResolver({ timeout: TIMEOUT_MS, tries: TRIES });
  if (servers.length > 0) dns.setServers(servers);
  const unknownTtl = <T>(records: readonly T[]): DnsAnswer<T> => ({ records, ttlMs: undefined });
  const ofSystem = async (host: string) =>
    unknownTtl((await lookup(host, { all: true, order: 'ipv4first' })).map(({ address }) => address));
  return {
    addresses: async (host) => {
      if (servers.length === 0 && !host.includes('.')) return ofSystem(host);
      // Both families at once: one that has none must not cost the other a round trip.
      const asked = await Promise.allSettled([dns.resolve4(host, { ttl: true }), dns.resolve6(host, { ttl: true })]);
      const found = asked.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
      if (found.length === 0) return ofSystem(host);
      return {
        records: found.map(({ address }) => address).filter((address) => isIP(address) !== 0),
        ttlMs: Math.min(...found.map(({ ttl }) => ttl)) * 1000,
      };
    },
    services: async (name) => unknownTtl(await dns.resolveSrv(name)),
    pointers: async (name) => unknownTtl(await dns.resolveNaptr(name)),
  };
}
